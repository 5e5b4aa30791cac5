"""The communicator: a group of GPUs that runs collectives on the fabric of one world."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import simpy
from numpy.typing import ArrayLike

from clustersim.collectives.alone_run import AloneRun
from clustersim.collectives.kinds import BARRIER_BYTES
from clustersim.collectives.macro_run import Choice, MacroRun
from clustersim.collectives.planned import PlannedCollectives
from clustersim.collectives.stepwise import StepwiseRun
from clustersim.engine.fabric import DEFAULT_TRAFFIC
from clustersim.engine.trace import NO_CAUSE

if TYPE_CHECKING:
    from clustersim.collectives.user_algorithm import UserAlgorithm
    from clustersim.engine.fabric import RouteSet, TrafficClass
    from clustersim.engine.world import World

__all__ = ["CollectiveRecord", "Communicator"]


class CollectiveRecord(NamedTuple):
    """How one collective went: the value of its event.

    `row` is its row in the trace (the cause, where nothing ran); `shares` maps resources to
    seconds and adds up to `end_s - start_s`.
    """

    row: int
    start_s: float
    end_s: float
    shares: Mapping[str, float]


class Communicator(PlannedCollectives):
    """Runs collectives of a fixed group; made once, used many times.

    Sizes follow nccl-tests: all-reduce, broadcast, reduce and send_recv the buffer of one rank;
    all-gather, reduce-scatter, gather and scatter the whole (gathered) buffer; all-to-all the
    buffer that one rank sends. Each call returns an event whose value is a `CollectiveRecord`;
    calls do not wait for each other.

    Parameters
    ----------
    world
        Where it runs.
    gpus
        Ranks in order.
    owner
        Who uses the links (for `private`).
    algorithm
        `auto` takes what is fastest alone for the size among what NCCL has; else a name of
        `clustersim.collectives.algorithms.ALGORITHMS`, or an algorithm of one's own (`StepList`,
        `MscclProgram`) for the kind that it is for, and `auto` for others. An algorithm of NCCL
        that does not apply falls back as NCCL does; `algorithm_of` tells.
    fidelity
        `macro`: one fluid flow per phase. `stepwise`: each message of each step as a flow.
    lane
        Stream in the trace.
    channels, chunks
        As `clustersim.collectives.group.Group` takes them.
    traffic
        Priority and weight of its bytes on links that others use as well.
    part
        Which part of its owner it is: then communicators of the owner's other parts are strangers
        to it, as others are, for `private`. Reports do not tell parts apart.
    beside
        Other groups of as many ranks that run each collective with it, in lockstep;
        `clustersim.collectives.lockstep.LockstepCommunicator` says what that means.

    Raises
    ------
    InputError
        For an unknown algorithm, a group that is empty or names a GPU twice, and for groups side by
        side that are of unequal sizes or have a common GPU (pairs may share ends).

    **Valid when** all ranks enter at once; see `clustersim.collectives.macro`.
    **Checked by:** tests/collectives; `clustersim validate collectives`.
    """

    def __init__(
        self,
        world: World,
        gpus: Sequence[str],
        *,
        owner: str,
        algorithm: str | UserAlgorithm = "auto",
        fidelity: Literal["macro", "stepwise"] = "macro",
        lane: str = "collectives",
        channels: int | None = None,
        chunks: int | None = None,
        traffic: TrafficClass = DEFAULT_TRAFFIC,
        part: str = "",
        beside: Sequence[Sequence[str]] = (),
    ) -> None:
        super().__init__(
            world,
            (gpus, *beside),
            owner=owner,
            algorithm=algorithm,
            channels=channels,
            chunks=chunks,
            traffic=traffic,
            part=part,
        )
        self.lane = lane
        self._run = self._stepwise if fidelity == "stepwise" else self._macro

    # ---- collectives

    def all_reduce(
        self, size_bytes: float, *, repeat: int = 1, cause: int = NO_CAUSE, label: str = "all-reduce"
    ) -> simpy.Event:
        """Sum the buffers of all ranks into every rank; `repeat` such collectives back to back."""
        return self._start("all_reduce", size_bytes, repeat, cause, label)

    def reduce_scatter(
        self, size_bytes: float, *, repeat: int = 1, cause: int = NO_CAUSE, label: str = "reduce-scatter"
    ) -> simpy.Event:
        """Sum the buffers of all ranks; each rank gets its N-th part."""
        return self._start("reduce_scatter", size_bytes, repeat, cause, label)

    def all_gather(
        self, size_bytes: float, *, repeat: int = 1, cause: int = NO_CAUSE, label: str = "all-gather"
    ) -> simpy.Event:
        """Collect the N-th parts of all ranks in every rank."""
        return self._start("all_gather", size_bytes, repeat, cause, label)

    def all_to_all(
        self, size_bytes: float, *, repeat: int = 1, cause: int = NO_CAUSE, label: str = "all-to-all"
    ) -> simpy.Event:
        """Send a different N-th part from each rank to each other."""
        return self._start("all_to_all", size_bytes, repeat, cause, label)

    def all_to_all_v(
        self, bytes_by_pair: ArrayLike, *, repeat: int = 1, cause: int = NO_CAUSE, label: str = "all-to-all-v"
    ) -> simpy.Event:
        """Send from rank i to rank j what row i, column j says, in bytes; the diagonal does not count."""
        kind, size_bytes = self._chooser.uneven(bytes_by_pair)
        return self._start(kind, size_bytes, repeat, cause, label)

    def broadcast(
        self,
        size_bytes: float,
        *,
        root: int = 0,
        repeat: int = 1,
        cause: int = NO_CAUSE,
        label: str = "broadcast",
    ) -> simpy.Event:
        """Copy the buffer of rank `root` to every rank."""
        return self._rooted("broadcast", root, size_bytes, repeat, cause, label)

    def reduce(
        self,
        size_bytes: float,
        *,
        root: int = 0,
        repeat: int = 1,
        cause: int = NO_CAUSE,
        label: str = "reduce",
    ) -> simpy.Event:
        """Sum the buffers of all ranks into rank `root`."""
        return self._rooted("reduce", root, size_bytes, repeat, cause, label)

    def gather(
        self,
        size_bytes: float,
        *,
        root: int = 0,
        repeat: int = 1,
        cause: int = NO_CAUSE,
        label: str = "gather",
    ) -> simpy.Event:
        """Collect the N-th parts of all ranks in rank `root`."""
        return self._rooted("gather", root, size_bytes, repeat, cause, label)

    def scatter(
        self,
        size_bytes: float,
        *,
        root: int = 0,
        repeat: int = 1,
        cause: int = NO_CAUSE,
        label: str = "scatter",
    ) -> simpy.Event:
        """Send a different N-th part from rank `root` to each rank."""
        return self._rooted("scatter", root, size_bytes, repeat, cause, label)

    def send_recv(
        self,
        size_bytes: float,
        *,
        source: int,
        target: int,
        repeat: int = 1,
        cause: int = NO_CAUSE,
        label: str = "send-recv",
    ) -> simpy.Event:
        """Send a buffer from one rank to another."""
        self._chooser.check_rank(source)
        self._chooser.check_rank(target)
        if source == target:
            size_bytes = 0.0
        return self._start(f"send_recv:{source}:{target}", size_bytes, repeat, cause, label)

    def barrier(self, *, repeat: int = 1, cause: int = NO_CAUSE, label: str = "barrier") -> simpy.Event:
        """Wait until all ranks have come: an all-reduce of four bytes, or Bruck's where it is named."""
        return self._start("barrier", BARRIER_BYTES, repeat, cause, label)

    def run_alone(
        self, kind: str, size_bytes: float, *, cause: int, label: str, done: simpy.Event
    ) -> AloneRun:
        """Begin a collective of one phase that nothing gets in the way of until `AloneRun.join`."""
        return AloneRun(self, self._choice(kind, size_bytes), cause, label, done)

    # ---- how it works

    def _rooted(
        self, name: str, root: int, size_bytes: float, repeat: int, cause: int, label: str
    ) -> simpy.Event:
        self._chooser.check_rank(root)
        return self._start(f"{name}:{root}", size_bytes, repeat, cause, label)

    def _start(self, kind: str, size_bytes: float, repeat: int, cause: int, label: str) -> simpy.Event:
        done = self.world.env.event()
        if not self._moves(size_bytes) or repeat < 1:
            now = self.world.env.now
            return done.succeed(CollectiveRecord(cause, now, now, {}))
        self._run(self._choice(kind, size_bytes), size_bytes, repeat, cause, label, done)
        return done

    def _macro(
        self, choice: Choice, size_bytes: float, repeat: int, cause: int, label: str, done: simpy.Event
    ) -> None:
        MacroRun(self, choice, repeat, cause, label, done)

    def _stepwise(
        self, choice: Choice, size_bytes: float, repeat: int, cause: int, label: str, done: simpy.Event
    ) -> None:
        purpose = choice.legs[0].route_set.purpose

        def route_set(links: Sequence[int], weights: Sequence[float]) -> RouteSet:
            made = self._route_set(links, weights)
            made.use_for(purpose)
            return made

        def waited(link: int, full_s: float, protocol_s: float) -> None:
            waits, now_s = self.world.link_waits, self.world.env.now
            waits.add(self.owner, purpose, link, full_s=full_s, protocol_s=protocol_s, until_s=now_s)

        run = StepwiseRun(self.world, choice.schedule, choice.protocol, route_set=route_set, waited=waited)

        def process() -> Generator[simpy.Event, Any, None]:
            start_s = self.world.env.now
            shares = yield from run.run(size_bytes, repeat)
            self.finish(start_s, shares, cause, label, done)

        self.world.env.process(process())

    def finish(
        self, start_s: float, shares: dict[str, float], cause: int, label: str, done: simpy.Event
    ) -> None:
        """Record a collective that has ended and fire its event; runs call it."""
        world = self.world
        end_s = world.env.now
        self._with_latency(shares, end_s - start_s)
        row = world.trace.record("collective", self.lane, label, start_s, end_s, cause=cause, shares=shares)
        done.succeed(CollectiveRecord(row, start_s, end_s, shares))
