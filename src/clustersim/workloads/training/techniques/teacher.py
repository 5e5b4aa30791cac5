"""A teacher on GPUs of its own: it computes logits ahead and ships them to the students."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import simpy

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.models import TransformerModel
from clustersim.cost.training.shard import Message, Shard
from clustersim.cost.training.training_cost import training_cost
from clustersim.errors import CannotRunError, InputError, Problem
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.memory import FRAMEWORK_BYTES

__all__ = ["Lessons", "Teacher"]

_VALUE_BYTES = 2.0
_INDEX_BYTES = 4.0
"""Of a logit as it is shipped: 16 bits, and with top-k its place (int32)."""


@dataclass(frozen=True)
class Teacher:
    """The replicas of a teacher, and what they do for one micro-batch of one student.

    *Equation.* R = gpus / tensor replicas serve D students in turn: a student gets a micro-batch every
    (D/R)·F, with F the teacher's forward pass. Shipped are 2 bytes for each logit, or 6 for each of the
    `top_k` largest of a token, divided among the ranks of the student's last stage.

    Parameters
    ----------
    gpus
        The last ones of the job.
    kernels_s, messages
        Of a forward pass.
    students
        Of each replica of the teacher.
    size_bytes
        Of a micro-batch, to one rank of a student.

    **Valid when** students go at one pace, and each rank needs its part of the logits alone.
    **Checked by:** tests/workloads/test_training_teacher.py.
    """

    gpus: tuple[str, ...]
    tensor: int
    kernels_s: float
    messages: tuple[Message, ...]
    students: float
    size_bytes: float
    ahead: int

    @classmethod
    def of(
        cls,
        spec: TrainingSpec,
        model: TransformerModel,
        accelerator: Accelerator,
        *,
        gpus: tuple[str, ...],
        layout: Layout,
    ) -> Teacher:
        """Lay a teacher out over its GPUs.

        Raises
        ------
        InputError
            Where `tensor` divides neither the GPUs nor the model's heads.
        CannotRunError
            Where its weights do not fit.
        """
        asked = spec.distillation
        assert asked is not None
        if len(gpus) % asked.tensor or model.heads % asked.tensor:
            message = f"{asked.tensor} has to divide the teacher's {len(gpus)} GPUs and {model.heads} heads"
            raise InputError(Problem(("distillation", "tensor"), message))
        shard = Shard(tensor=asked.tensor, sequence=asked.tensor > 1)
        cost = training_cost(
            model,
            accelerator,
            precision=spec.precision,
            micro_batch=spec.micro_batch,
            sequence=spec.sequence,
            shard=shard,
        )
        _check_room(model, accelerator, asked.tensor)
        sequence = model.max_sequence if spec.sequence is None else spec.sequence
        per_token = model.vocab * _VALUE_BYTES
        if asked.top_k is not None:
            per_token = min(asked.top_k, model.vocab) * (_VALUE_BYTES + _INDEX_BYTES)
        return cls(
            gpus=gpus,
            tensor=asked.tensor,
            kernels_s=cost.forward.seconds,
            messages=tuple(message for layer in cost.layers for message in layer.messages_forward),
            students=layout.data * asked.tensor / len(gpus),
            size_bytes=spec.micro_batch * sequence * per_token / (layout.context * layout.tensor),
            ahead=asked.ahead,
        )

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """GPUs of each replica."""
        return tuple(
            self.gpus[begin : begin + self.tensor] for begin in range(0, len(self.gpus), self.tensor)
        )

    def pairs(self, layout: Layout, replica: int) -> tuple[tuple[str, str], ...]:
        """Return who ships to whom, for the lane of the last stage of a replica."""
        last = layout.pipeline - 1
        found = []
        for rank in layout.lane_ranks(last, replica):
            place = layout.coordinates(rank)
            own = self.groups[place.data % len(self.groups)]
            found.append((own[place.tensor % self.tensor], layout.gpu(rank)))
        return tuple(found)


class Lessons:
    """Logits of the micro-batches of one lane, computed and shipped `ahead` of it at the most.

    Parameters
    ----------
    seconds
        From one micro-batch to the next where nobody waits.
    ship
        Sends the logits of a micro-batch.
    """

    def __init__(
        self, env: simpy.Environment, *, seconds: float, ahead: int, ship: Callable[[], simpy.Event]
    ) -> None:
        self._env = env
        self._seconds = seconds
        self._ship = ship
        self._places = simpy.Container(env, capacity=ahead, init=ahead)
        self._there = simpy.Container(env, init=0)
        env.process(self._teach())

    def take(self) -> Generator[simpy.Event, Any, None]:
        """Wait for the logits of the next micro-batch."""
        yield self._there.get(1)
        self._places.put(1)

    def _teach(self) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self._places.get(1)
            yield self._env.timeout(self._seconds)
            self._env.process(self._arrive())  # beside the next forward pass

    def _arrive(self) -> Generator[simpy.Event, Any, None]:
        yield self._ship()
        yield self._there.put(1)


def _check_room(model: TransformerModel, accelerator: Accelerator, tensor: int) -> None:
    needed = 2.0 * model.parameters / tensor + FRAMEWORK_BYTES
    if needed > accelerator.memory_bytes:
        message = (
            f"the teacher's weights take {needed / 2**30:.3g} GiB on a GPU with 'tensor: {tensor}', "
            f"{accelerator.name} has {accelerator.memory_bytes / 2**30:.3g} GiB"
        )
        raise CannotRunError(Problem(("distillation", "tensor"), message))
