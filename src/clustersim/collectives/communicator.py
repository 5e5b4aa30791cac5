"""The communicator: a group of GPUs that runs collectives on the fabric of one world."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import simpy
from numpy.typing import ArrayLike

from clustersim.collectives.alone_run import AloneRun
from clustersim.collectives.choice import chooser_for
from clustersim.collectives.kinds import BARRIER_BYTES, bus_bytes_factor, parse_kind
from clustersim.collectives.macro import MacroPhase, Schedule
from clustersim.collectives.macro_run import Choice, Leg, MacroRun
from clustersim.collectives.phase_cost import Timing
from clustersim.collectives.stepwise import StepwiseRun
from clustersim.engine.fabric import DEFAULT_TRAFFIC
from clustersim.engine.owners import part_of
from clustersim.engine.trace import NETWORK_LATENCY, NO_CAUSE, link_resource

if TYPE_CHECKING:
    from clustersim.collectives.user_algorithm import UserAlgorithm
    from clustersim.engine.fabric import RouteSet, TrafficClass
    from clustersim.engine.world import World

__all__ = ["CollectiveRecord", "Communicator"]

_KEPT_SIZES = 65536


class CollectiveRecord(NamedTuple):
    """How one collective went: the value of its event.

    `row` is its row in the trace (the cause, where nothing ran); `shares` maps resources to
    seconds and adds up to `end_s - start_s`.
    """

    row: int
    start_s: float
    end_s: float
    shares: Mapping[str, float]


class Communicator:
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
        self._chooser = chooser_for(
            world.topology, (gpus, *beside), channels=channels, chunks=chunks, algorithm=algorithm
        )
        self.group = self._chooser.group
        self._group_count = 1 + len(beside)
        self.owner = owner
        self._link_owner = part_of(owner, part)
        self.lane = lane
        self.world = world
        self.traffic = traffic
        self._run = self._stepwise if fidelity == "stepwise" else self._macro
        self._choices: dict[tuple[str, float], Choice] = {}
        self._route_sets: dict[int, RouteSet] = {}
        self._phases: dict[int, tuple[MacroPhase, RouteSet]] = {}
        self._on_shared: list[Callable[[], None]] = []
        self._resources: dict[int, str] = {}

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

    # ---- closed forms and skipping ahead

    def alone_s(self, kind: str, size_bytes: float | ArrayLike) -> float:
        """Return the duration of a collective when nothing shares its links.

        `kind` is `all_reduce`, `reduce_scatter`, `all_gather`, `all_to_all`, `barrier`,
        `broadcast:ROOT`, `reduce:ROOT`, `gather:ROOT`, `scatter:ROOT` or `send_recv:SOURCE:TARGET`;
        or `all_to_all_v` with the bytes by pair in place of the size. A barrier takes no size: any
        will do.
        """
        choice = self._asked(kind, size_bytes)
        return choice.alone_s if choice else 0.0

    def alone_shares(self, kind: str, size_bytes: float | ArrayLike) -> dict[str, float]:
        """Return the seconds by resource of a collective when nothing shares its links."""
        choice = self._asked(kind, size_bytes)
        if choice is None:
            return {}
        shares: dict[str, float] = {}
        for leg in choice.legs:
            self.add_share(shares, leg.slowest_link, leg.flow_s * leg.bandwidth_part)
        return self._with_latency(shares, choice.alone_s)

    def algorithm_of(self, kind: str, size_bytes: float | ArrayLike) -> str:
        """Return `algorithm/protocol` that a collective of this kind and size runs with, or `none`."""
        choice = self._asked(kind, size_bytes)
        return f"{choice.schedule.plan.algorithm}/{choice.protocol}" if choice else "none"

    @property
    def private(self) -> bool:
        """Whether nobody else uses a link of what it has run or planned so far, and none has changed.

        False before it has planned anything.
        """
        fabric = self.world.fabric
        return bool(self._route_sets) and all(
            fabric.private(route_set) for route_set in self._route_sets.values()
        )

    @property
    def links(self) -> frozenset[int]:
        """Links of what it has run or planned so far."""
        return frozenset(link for route_set in self._route_sets.values() for link in route_set.links)

    def on_shared(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when `private` ends: somebody else uses a link, or one has changed."""
        self._on_shared.append(callback)
        for route_set in self._route_sets.values():
            route_set.on_shared.append(callback)

    def account(
        self, kind: str, size_bytes: float | ArrayLike, *, repeat: int, start_s: float, end_s: float
    ) -> None:
        """Book the bytes of `repeat` collectives on the links' meters, spread over a time span."""
        choice = self._asked(kind, size_bytes)
        for leg in choice.legs if choice else ():
            self.world.fabric.account(leg.route_set, repeat * leg.flow_bytes, start_s, end_s)
            own_s = repeat * leg.flow_s * leg.bandwidth_part
            self.note_waits(leg, {}, own_s, until_s=end_s)

    def alone_load(self, kind: str, size_bytes: float) -> tuple[tuple[int, ...], list[float]] | None:
        """Return the links of a collective and the bytes/s that it puts on each, alone.

        None for one of several phases, or one that moves nothing.
        """
        choice = self._asked(kind, size_bytes)
        if choice is None or len(choice.legs) != 1:
            return None
        leg = choice.legs[0]
        rate = leg.flow_bytes / leg.flow_s
        return leg.route_set.links, [weight * rate for weight in leg.route_set.weights]

    def run_alone(
        self, kind: str, size_bytes: float, *, cause: int, label: str, done: simpy.Event
    ) -> AloneRun:
        """Begin a collective of one phase that nothing gets in the way of until `AloneRun.join`."""
        return AloneRun(self, self._choice(kind, size_bytes), cause, label, done)

    def bus_bytes_factor(self, kind: str) -> float:
        """Return what nccl-tests multiplies size/time with to get bus bandwidth."""
        return bus_bytes_factor(kind, ranks=len(self.group))

    @property
    def ranks(self) -> int:
        """Ranks that take part: of all groups that run each collective side by side."""
        return self._group_count * len(self.group)

    def senders(self, kind: str) -> int:
        """Return how many ranks send what `bus_bytes_factor` says: one of a group point to point, else all."""
        return self._group_count if parse_kind(kind).name == "send_recv" else self.ranks

    def candidates(self, kind: str) -> tuple[Schedule, ...]:
        """Return the schedules that are chosen from for a kind of collective."""
        return self._chooser.candidates(kind)

    # ---- how it works

    def _moves(self, size_bytes: float) -> bool:
        return size_bytes > 0 and len(self.group) > 1

    def _asked(self, kind: str, size_bytes: float | ArrayLike) -> Choice | None:
        """Return what a collective runs with that somebody asks about; None if it moves nothing."""
        parsed = parse_kind(kind)
        if parsed.name == "all_to_all_v" and not parsed.ranks:
            kind, total = self._chooser.uneven(size_bytes)
        else:
            total = BARRIER_BYTES if parsed.name == "barrier" else float(size_bytes)  # type: ignore[arg-type]
        to_itself = parsed.name == "send_recv" and len(set(parsed.ranks)) == 1
        return self._choice(kind, total) if self._moves(total) and not to_itself else None

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

    def _choice(self, kind: str, size_bytes: float) -> Choice:
        found = self._choices.get((kind, size_bytes))
        if found is None:
            if len(self._choices) >= _KEPT_SIZES:
                self._choices.clear()
            found = self._choices[kind, size_bytes] = self._choose(kind, size_bytes)
        return found

    def _choose(self, kind: str, size_bytes: float) -> Choice:
        best, protocol, alone_s = self._chooser.pick(kind, size_bytes)
        timings = best.timings(size_bytes, protocol)
        legs = tuple(
            self._leg(phase, kind, size_bytes, timing, 0.0 if index else best.start_s[protocol])
            for index, (phase, timing) in enumerate(zip(best.phases, timings, strict=True))
        )
        return Choice(kind, size_bytes, best, protocol, alone_s, legs)

    def _leg(self, phase: MacroPhase, kind: str, size_bytes: float, timing: Timing, base_s: float) -> Leg:
        return Leg(
            route_set=self._register(phase, kind),
            delay_s=base_s + timing.delay_s,
            flow_bytes=phase.bytes_moved(size_bytes),
            flow_s=timing.flow_s,
            bandwidth_part=timing.bandwidth_part,
            slowest_link=phase.load.slowest_link,
            phase=phase,
        )

    def _route_set(self, links: Sequence[int], weights: Sequence[float]) -> RouteSet:
        return self.world.fabric.route_set(links, weights, owner=self._link_owner, traffic=self.traffic)

    def _register(self, phase: MacroPhase, kind: str) -> RouteSet:
        fabric = self.world.fabric
        kept = self._phases.get(id(phase))
        if kept is None or kept[0] is not phase:
            # To look a route set up costs a sum over its links; sizes come and go, phases stay.
            kept = self._phases[id(phase)] = phase, self._route_set(phase.load.links, phase.weights)
        route_set = kept[1]
        route_set.use_for(parse_kind(kind).words)
        if id(route_set) not in self._route_sets:
            self._route_sets[id(route_set)] = route_set
            route_set.on_shared.extend(self._on_shared)
            if not fabric.private(route_set):
                for callback in self._on_shared:
                    callback()
        return route_set

    def add_share(self, shares: dict[str, float], link: int, seconds: float) -> None:
        """Add seconds that a link held a collective back; runs call it."""
        resource = self._resources.get(link)
        if resource is None:
            resource = self._resources[link] = link_resource(self.world.topology.link_names[link])
        shares[resource] = shares.get(resource, 0.0) + seconds

    def note_waits(self, leg: Leg, full_s: Mapping[int, float], own_s: float, *, until_s: float) -> None:
        """Tell the world which full links held a leg back how long, and how long its own protocol did."""
        waits, purpose = self.world.link_waits, leg.route_set.purpose
        for link, seconds in full_s.items():
            own_here_s = own_s if link == leg.slowest_link else 0.0
            waits.add(self.owner, purpose, link, full_s=seconds, protocol_s=own_here_s, until_s=until_s)
        if leg.slowest_link not in full_s:
            waits.add(self.owner, purpose, leg.slowest_link, protocol_s=own_s, until_s=until_s)

    @staticmethod
    def _with_latency(shares: dict[str, float], duration_s: float) -> dict[str, float]:
        """Give latency what bandwidth leaves of the duration."""
        shares[NETWORK_LATENCY] = max(0.0, duration_s - sum(shares.values()))
        return shares

    def finish(
        self, start_s: float, shares: dict[str, float], cause: int, label: str, done: simpy.Event
    ) -> None:
        """Record a collective that has ended and fire its event; runs call it."""
        world = self.world
        end_s = world.env.now
        self._with_latency(shares, end_s - start_s)
        row = world.trace.record("collective", self.lane, label, start_s, end_s, cause=cause, shares=shares)
        done.succeed(CollectiveRecord(row, start_s, end_s, shares))
