"""Answers to a plan search without a simulator: times and needs that are made up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clustersim.spec.training import TrainingSpec
from clustersim.study.plan.evaluator import Assess, Simulate
from clustersim.study.plan.layouts import Assessed, Simulated


def made_up(number: int, **fields: Any) -> TrainingSpec:
    """A layout that is told from others by its name."""
    usual = {"kind": "training", "model": "bert-large", "gpus": 1, "micro_batch": 1, "steps": 1}
    return TrainingSpec.model_validate({**usual, "name": f"layout{number}", **fields})


class MadeUp:
    """What layouts need and take: seconds, bound, memory, network by number.

    Parameters
    ----------
    rows
        Seconds, bound, bytes of memory and of network of each layout.
    memory_bytes
        What there is.
    backwards
        Answers come last question first, as with several processes they may.
    """

    def __init__(
        self,
        rows: Sequence[tuple[float, float, float, float]],
        *,
        memory_bytes: float = float("inf"),
        backwards: bool = False,
        fail_after: int | None = None,
    ) -> None:
        self.rows = rows
        self.ladders = [(made_up(number),) for number in range(len(rows))]
        self.simulated: list[int] = []
        self._memory_bytes = memory_bytes
        self._backwards = backwards
        self._fail_after = fail_after

    def ask(
        self, questions: Sequence[Assess | Simulate]
    ) -> Iterator[tuple[int, tuple[Assessed, ...] | Simulated]]:
        places = range(len(questions))
        for place in reversed(places) if self._backwards else places:
            question = questions[place]
            if isinstance(question, Assess):
                yield place, tuple(self._assess(spec) for spec in question.ladder)
            else:
                yield place, self._simulate(question.spec)

    def _assess(self, spec: TrainingSpec) -> Assessed:
        _, bound_s, memory, network = self.rows[_number(spec)]
        fate = "fits" if memory <= self._memory_bytes else "does not fit"
        return Assessed(fate=fate, memory={"weights": memory}, bound_s=bound_s, network_bytes=network)

    def _simulate(self, spec: TrainingSpec) -> Simulated:
        if self._fail_after is not None and len(self.simulated) >= self._fail_after:
            raise KeyboardInterrupt
        self.simulated.append(_number(spec))
        seconds = self.rows[_number(spec)][0]
        return Simulated(iteration_s=seconds, metrics={"compute_s": seconds})


def _number(spec: TrainingSpec) -> int:
    return int(spec.name.removeprefix("layout"))
