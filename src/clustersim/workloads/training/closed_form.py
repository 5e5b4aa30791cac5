"""What collectives inside a pass add to it, where nobody else uses their links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from clustersim.cost.training.shard import Message
from clustersim.spec.training import OverlapSpec
from clustersim.workloads.training.program import Booked

__all__ = ["Added", "Alone", "AloneOf", "beside_s", "booked", "never_alone"]


class Alone(NamedTuple):
    """A collective that has its links to itself.

    Parameters
    ----------
    seconds
        Its time.
    shares
        `seconds` by resource.
    slowdown
        How many times longer kernels take beside it.
    """

    seconds: float
    shares: Mapping[str, float]
    slowdown: float = 1.0


class AloneOf(Protocol):
    """Closed forms of collectives between kernels of a pass."""

    def __call__(self, dimension: str, collective: str, size_bytes: float, *, quiet: bool) -> Alone | None:
        """Return the time of a collective; None where others may use its links at the same time.

        `quiet` says that nothing that replicas say to each other is under way.
        """


def never_alone(dimension: str, collective: str, size_bytes: float, *, quiet: bool) -> Alone | None:
    """Return None: every collective goes over the fabric."""


def beside_s(message: Message, overlap: OverlapSpec) -> float:
    """Return the seconds of kernels that a message runs beside."""
    in_tensor = message.dimension == "tensor"
    if overlap.tensor if in_tensor else overlap.expert:
        return message.hideable_s
    return 0.0 if in_tensor and not overlap.tensor_backward else message.asynchronous_s


class Added(NamedTuple):
    """What a message adds to its pass.

    Parameters
    ----------
    booked
        The message, with the part of its time that no kernels hide.
    slowed_s
        Time by which kernels beside it take longer.
    covered_s
        Time of kernels beside it that does not count, as it takes longer than they do.
    shares
        Seconds by resource that the pass would lose with it: what it adds, and what it covers.
    """

    booked: Booked
    slowed_s: float
    covered_s: float
    shares: Mapping[str, float]


def booked(message: Message, alone: Alone, *, kernels_s: float) -> Added:
    """Return a message as part of its pass.

    *Equation.* With C the time of all its collectives, H = `kernels_s` the kernels that they run beside and
    s the slowdown of those: kernels take min(C/s, H)·(s - 1) longer, and C - s·H is left to wait for, if
    it is positive. Together they take C then, else H + C·(s - 1)/s; so C, or C·(s - 1)/s, shrinks with the
    network.

    **Checked by:** tests/workloads/test_training_compile.py, and test_training_exact.py against the fabric.
    """
    total_s = message.count * alone.seconds
    exposed_s = max(0.0, total_s - alone.slowdown * kernels_s)
    slowed_s = min(total_s / alone.slowdown, kernels_s) * (alone.slowdown - 1.0)
    covered_s = kernels_s if exposed_s else 0.0
    part = (exposed_s + slowed_s + covered_s) / alone.seconds if alone.seconds else 0.0
    shares = {resource: part * seconds for resource, seconds in alone.shares.items()}
    item = Booked(message.dimension, message.collective, message.size_bytes, message.count, exposed_s)
    return Added(item, slowed_s, covered_s, shares)
