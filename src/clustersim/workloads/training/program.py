"""What one lane of a training job does in an iteration: a list of instructions, as data.

A lane is a set of ranks that blocking collectives keep in lockstep: those of one pipeline stage and
one replica, or of as many replicas as share experts or parameters. Schedules and costs are compiled
into programs; one interpreter runs them; exporters read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = [
    "Await",
    "Booked",
    "Compute",
    "ComputeKind",
    "Instruction",
    "Launch",
    "Lesson",
    "Load",
    "Program",
    "Receive",
    "Send",
]

ComputeKind = Literal["forward", "backward", "weight", "recompute", "optimizer", "teacher"]


class Booked(NamedTuple):
    """Collectives whose time is part of a pass in closed form, as their links are used by nobody else.

    Parameters
    ----------
    dimension, collective, size_bytes
        As in `Launch`.
    times
        How many.
    exposed_s
        What they add to the pass, all together; the rest is hidden behind its kernels.
    """

    dimension: str
    collective: str
    size_bytes: float
    times: int
    exposed_s: float


class Compute(NamedTuple):
    """Kernels on the compute stream, and the collectives between them that take their time alone.

    Parameters
    ----------
    seconds
        Their time where nothing else runs on the GPU and nothing varies, `booked` included.
    host_s
        Part of it in which the GPU waits for launches.
    shares
        `seconds` by resource.
    micro_batch, chunk
        Of which micro-batch and chunk of layers; -1 and 0 where that means nothing.
    booked
        Collectives that are part of it.
    """

    kind: ComputeKind
    seconds: float
    host_s: float
    shares: Mapping[str, float]
    micro_batch: int = -1
    chunk: int = 0
    booked: tuple[Booked, ...] = ()

    @property
    def exposed_s(self) -> float:
        """Communication in it."""
        return sum(item.exposed_s for item in self.booked)


class Launch(NamedTuple):
    """A collective that begins when everybody has come; the lane goes on at once.

    Parameters
    ----------
    key
        Name of this call within the lane's program.
    stream
        Collectives of a stream run one after the other, in the order of their launches.
    dimension
        Which groups of ranks run it, all those of the lane side by side: a key of
        `clustersim.workloads.training.layout.Layout.groups`.
    collective, size_bytes, repeat
        Kind and size, as `clustersim.collectives.Communicator` counts it, and how many back to back.
    after
        Key of a collective of the lane that has to end first; empty: none.
    """

    key: str
    stream: str
    dimension: str
    collective: str
    size_bytes: float
    repeat: int = 1
    after: str = ""


class Await(NamedTuple):
    """Go on when the collective that was launched as `key` has ended."""

    key: str


class Lesson(NamedTuple):
    """Go on when a teacher on GPUs of its own has sent the logits of a micro-batch."""

    micro_batch: int


class Load(NamedTuple):
    """Go on when the samples of a micro-batch have come from storage."""

    micro_batch: int


class Send(NamedTuple):
    """Send activations or gradients to the lane of the same replica at another stage.

    Every rank sends `size_bytes` to the rank at its own place in the other stage.
    """

    key: str
    stage: int
    size_bytes: float


class Receive(NamedTuple):
    """Go on when what the lane of `stage` sends as `key` has come."""

    key: str
    stage: int


Instruction = Compute | Launch | Await | Lesson | Load | Send | Receive
Program = tuple[Instruction, ...]
"""One lane, one iteration; keys are unique within it."""
