"""Writes the instructions of one pass over one chunk of layers: kernels, and what happens between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clustersim.cost.roofline import KernelTime
from clustersim.cost.training.shard import Message
from clustersim.spec.training import OverlapSpec
from clustersim.workloads.training.closed_form import Added, AloneOf, beside_s, booked
from clustersim.workloads.training.launch_queue import LaunchQueue
from clustersim.workloads.training.pass_shares import PassShares
from clustersim.workloads.training.program import Await, Booked, Compute, ComputeKind, Instruction, Launch

__all__ = ["PassWriter"]


class PassWriter:
    """Collects the kernels of one pass; kernels between which nothing happens become one `Compute`.

    Collectives that the next kernels wait for are part of the `Compute` where nobody else uses their
    links, else they are launched and awaited where they stand.

    Parameters
    ----------
    kind, chunk
        Of the pass.
    alone_of
        Closed forms of collectives.
    overlap
        Which of them run beside kernels.
    quiet
        Whether nothing that replicas say to each other is under way during the pass.
    """

    def __init__(
        self, kind: ComputeKind, chunk: int, *, alone_of: AloneOf, overlap: OverlapSpec, quiet: bool
    ) -> None:
        self.instructions: list[Instruction] = []
        self._kind = kind
        self._chunk = chunk
        self._alone_of = alone_of
        self._quiet = quiet
        self._overlap = overlap
        self._time = KernelTime.ZERO
        self._booked: dict[tuple[str, str, float], Booked] = {}
        self._shares = PassShares()
        self._launched = 0
        self._queue = LaunchQueue()

    def kernels(
        self,
        time: KernelTime,
        messages: Iterable[Message] = (),
        *,
        host_s: float = 0.0,
        blocking: bool = False,
    ) -> None:
        """Add the kernels of a block, and the messages that belong to them.

        Messages run beside kernels of the block one after the other, each beside others of them.
        `host_s` is what the host takes to launch the kernels, `blocking` whether it waits for each.
        """
        left_s = time.seconds
        if blocking:
            time, left_s = time + KernelTime(launch_s=host_s), 0.0
        else:
            self._queue.launch(host_s, device_s=left_s)
        covered_s = 0.0
        shared: list[tuple[Message, float]] = []
        for message in messages:
            beside = min(left_s, beside_s(message, self._overlap))
            left_s -= beside
            alone = self._alone_of(
                message.dimension, message.collective, message.size_bytes, quiet=self._quiet
            )
            if alone is None:
                shared.append((message, beside))
            else:
                covered_s += self._book(booked(message, alone, kernels_s=beside))
        if shared:
            self._between(time, shared, covered_s)
        else:
            self._add(time, covered_s)

    def _add(self, time: KernelTime, covered_s: float) -> None:
        self._time += time
        self._shares.kernels(time, covered_s=covered_s)

    def wait(self, restart_s: float = 0.0) -> None:
        """Have the host wait until everything so far is done; the device is idle until it has gone on."""
        idle_s = self._queue.drain()
        self._time += KernelTime(launch_s=idle_s + restart_s)
        self._shares.settle(idle_s=idle_s, restart_s=restart_s)

    def put(self, *instructions: Instruction) -> None:
        """Have something happen at this point of the pass."""
        self._flush()
        self.instructions += instructions

    def put_any(self, instructions: Iterable[Instruction]) -> None:
        """Have something happen at this point of the pass, if it is anything."""
        given = tuple(instructions)
        if given:
            self.put(*given)

    def finish(self) -> Sequence[Instruction]:
        """Return the whole pass."""
        self.wait()
        self._flush()
        return self.instructions

    def _book(self, added: Added) -> float:
        """Add a message in closed form; return the seconds of kernels that it covers."""
        item = added.booked
        key = item[:3]
        known = self._booked.get(key)
        if known is not None:
            item = item._replace(times=known.times + item.times, exposed_s=known.exposed_s + item.exposed_s)
        self._booked[key] = item
        self._queue.launch(0.0, device_s=added.booked.exposed_s + added.slowed_s)
        self._time += KernelTime(compute_s=added.slowed_s)
        self._shares.message(added.shares)
        return added.covered_s

    def _between(self, time: KernelTime, messages: Sequence[tuple[Message, float]], covered_s: float) -> None:
        """Run messages on the fabric: beside so many seconds of the block's kernels, or after all of them."""
        used, covered = 0.0, covered_s / time.seconds if time.seconds else 0.0
        for message, beside in messages:
            if beside:
                key = self._launch(message)
                self._add(time * (beside / time.seconds), covered * beside)
                self.put(Await(key))
                used += beside / time.seconds
        left = max(0.0, 1.0 - used)
        self._add(time * left, covered_s * left)
        for message, beside in messages:
            if not beside:
                self.put(Await(self._launch(message)))

    def _launch(self, message: Message) -> str:
        """Launch a message now; return its key within the pass."""
        key = f"{message.dimension}{self._launched}"
        self._launched += 1
        self.put(
            Launch(
                key,
                message.dimension,
                message.dimension,
                message.collective,
                message.size_bytes,
                message.count,
            )
        )
        return key

    def _flush(self) -> None:
        seconds = self._time.seconds + sum(item.exposed_s for item in self._booked.values())
        if seconds > 0.0 or self._booked:
            shares, items = self._shares.take(), tuple(self._booked.values())
            self.instructions.append(
                Compute(self._kind, seconds, self._time.launch_s, shares, chunk=self._chunk, booked=items)
            )
        self._time, self._booked = KernelTime.ZERO, {}
