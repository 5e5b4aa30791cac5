"""What batches of one size go through: steps, and what their seconds are spent on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from clustersim.cost.roofline import KernelTime
from clustersim.workloads.ranking.inference.replica.channel import Message

if TYPE_CHECKING:
    from clustersim.workloads.ranking.inference.replica.batch import Batch
    from clustersim.workloads.ranking.inference.replica.leap import Leap
    from clustersim.workloads.ranking.inference.replica.worker import Worker

__all__ = ["BatchProfile", "BatchTimer", "Copy", "Host", "Kernels", "Step"]


class Step(Protocol):
    """A part of a batch's way that has to be over before the next begins."""

    def begin(self, batch: Batch) -> None:
        """Begin; `batch.go_on` is called at the end."""

    def leap(self, leap: Leap, worker: Worker) -> bool:
        """Add its closed form to a leap; False where only the simulation can tell its end."""


@dataclass(frozen=True, slots=True)
class Host:
    """The host prepares a batch, or hands it over; its worker waits, others go on."""

    seconds: float

    def begin(self, batch: Batch) -> None:
        """Wait for the host."""
        batch.after(self.seconds * batch.factor)

    def leap(self, leap: Leap, worker: Worker) -> bool:
        """Add the seconds of the host."""
        leap.own_s += self.seconds
        return True


@dataclass(frozen=True, slots=True)
class Kernels:
    """Kernels on the worker's device, which computes one batch at a time."""

    time: KernelTime

    def begin(self, batch: Batch) -> None:
        """Stand in line for the device."""
        batch.join(batch.worker.device, self.time)

    def leap(self, leap: Leap, worker: Worker) -> bool:
        """Add the seconds of the device."""
        leap.own_s += self.time.seconds
        return True


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes through a channel of the worker: `in` or `out`."""

    channel: str
    message: Message

    def begin(self, batch: Batch) -> None:
        """Send the bytes."""
        batch.send(self.message, batch.worker.channels[self.channel])

    def leap(self, leap: Leap, worker: Worker) -> bool:
        """Add the seconds of the copy."""
        leap.copy(worker.channels[self.channel], self.message)
        return True


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchProfile:
    """Batches of a number of samples.

    Parameters
    ----------
    number
        Position among all profiles of the service's timer.
    steps
        One after the other.
    shares
        Seconds of host and device by resource, all steps together, without waiting and network.
    device_s
        Of these, seconds of kernels on each device.
    flops, hbm_bytes
        Work of the kernels, all devices together.
    network_bytes, messages
        What GPUs send to others, and in how many messages.
    """

    number: int
    steps: Sequence[Step]
    shares: Mapping[str, float]
    device_s: float = 0.0
    flops: float = 0.0
    hbm_bytes: float = 0.0
    network_bytes: float = 0.0
    messages: float = 0.0


class BatchTimer(Protocol):
    """Says what batches go through."""

    def profile(self, samples: int, queries: int) -> BatchProfile:
        """Return the profile of batches of so many samples and pieces of queries."""
