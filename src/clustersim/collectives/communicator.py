"""The communicator: a group of GPUs that runs collectives on the fabric of one world."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import simpy

from clustersim.collectives.algorithms import ALGORITHMS, bus_bytes_factor, plans
from clustersim.collectives.group import Group
from clustersim.collectives.macro import MacroPhase, Schedule, schedule
from clustersim.collectives.macro_run import Choice, Leg, MacroRun
from clustersim.collectives.stepwise import StepwiseRun
from clustersim.engine.trace import NETWORK_LATENCY, NO_CAUSE, link_resource
from clustersim.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clustersim.engine.fabric import RouteSet
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

    Sizes follow nccl-tests: all-reduce, broadcast and send_recv the buffer of one rank,
    all-gather and reduce-scatter the whole (gathered) buffer, all-to-all the buffer that one
    rank sends. Each call returns an event whose value is a `CollectiveRecord`; calls do not wait
    for each other.

    Parameters
    ----------
    world
        Where it runs.
    gpus
        Ranks in order.
    owner
        Who uses the links (for `private`).
    algorithm
        `auto` takes what is fastest alone for the size, among `ring`, `tree` and `nvls`, as NCCL
        does; `hierarchical` runs where it is named. A named algorithm that does not apply to a
        group or kind falls back to `ring`.
    fidelity
        `macro`: one fluid flow per phase. `stepwise`: each message of each step as a flow.
    lane
        Stream in the trace.

    Raises
    ------
    InputError
        For an unknown algorithm, and for a group that is empty or names a GPU twice.

    **Valid when** all ranks enter at once; see `clustersim.collectives.macro`.
    **Checked by:** tests/collectives; `clustersim validate collectives`.
    """

    def __init__(
        self,
        world: World,
        gpus: Sequence[str],
        *,
        owner: str,
        algorithm: str = "auto",
        fidelity: Literal["macro", "stepwise"] = "macro",
        lane: str = "collectives",
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise InputError(
                f"unknown collective algorithm '{algorithm}'.{did_you_mean(algorithm, ALGORITHMS)}"
            )
        self.group = Group(world.topology, gpus)
        self.owner = owner
        self.lane = lane
        self.algorithm = algorithm
        self.world = world
        self._run = self._stepwise if fidelity == "stepwise" else self._macro
        self._schedules: dict[str, tuple[Schedule, ...]] = {}
        self._choices: dict[tuple[str, float], Choice] = {}
        self._route_sets: dict[int, RouteSet] = {}
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
        self._check_rank(root)
        return self._start(f"broadcast:{root}", size_bytes, repeat, cause, label)

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
        self._check_rank(source)
        self._check_rank(target)
        if source == target:
            size_bytes = 0.0
        return self._start(f"send_recv:{source}:{target}", size_bytes, repeat, cause, label)

    # ---- closed forms and skipping ahead

    def alone_s(self, kind: str, size_bytes: float) -> float:
        """Return the duration of a collective when nothing shares its links.

        `kind` is `all_reduce`, `reduce_scatter`, `all_gather`, `all_to_all`, `broadcast:ROOT` or
        `send_recv:SOURCE:TARGET`.
        """
        return self._choice(kind, size_bytes).alone_s if self._moves(size_bytes) else 0.0

    def alone_shares(self, kind: str, size_bytes: float) -> dict[str, float]:
        """Return the seconds by resource of a collective when nothing shares its links."""
        if not self._moves(size_bytes):
            return {}
        choice = self._choice(kind, size_bytes)
        shares: dict[str, float] = {}
        for leg in choice.legs:
            self.add_share(shares, leg.slowest_link, leg.flow_s * leg.bandwidth_part)
        return self._with_latency(shares, choice.alone_s)

    def algorithm_of(self, kind: str, size_bytes: float) -> str:
        """Return `algorithm/protocol` that a collective of this kind and size runs with, or `none`."""
        if not self._moves(size_bytes):
            return "none"
        choice = self._choice(kind, size_bytes)
        return f"{choice.schedule.plan.algorithm}/{choice.protocol}"

    @property
    def private(self) -> bool:
        """Whether nobody else uses a link of what it has run or planned so far, and none has changed.

        False before it has planned anything.
        """
        fabric = self.world.fabric
        return bool(self._route_sets) and all(
            fabric.private(route_set) for route_set in self._route_sets.values()
        )

    def on_shared(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when `private` ends: somebody else uses a link, or one has changed."""
        self._on_shared.append(callback)
        for route_set in self._route_sets.values():
            route_set.on_shared.append(callback)

    def account(self, kind: str, size_bytes: float, *, repeat: int, start_s: float, end_s: float) -> None:
        """Book the bytes of `repeat` collectives on the links' meters, spread over a time span."""
        if not self._moves(size_bytes):
            return
        for leg in self._choice(kind, size_bytes).legs:
            self.world.fabric.account(leg.route_set, repeat * leg.flow_bytes, start_s, end_s)

    def bus_bytes_factor(self, kind: str) -> float:
        """Return what nccl-tests multiplies size/time with to get bus bandwidth."""
        return bus_bytes_factor(kind, ranks=len(self.group))

    # ---- how it works

    def _check_rank(self, rank: int) -> None:
        if not 0 <= rank < len(self.group):
            raise InputError(f"rank {rank} is not among the {len(self.group)} ranks 0…{len(self.group) - 1}")

    def _moves(self, size_bytes: float) -> bool:
        return size_bytes > 0 and len(self.group) > 1

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
        run = StepwiseRun(self.world, choice.schedule, choice.protocol, owner=self.owner)

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
        alone_s, best, protocol = min(
            (
                (candidate.alone_s(size_bytes, protocol), candidate, protocol)
                for candidate in self.candidates(kind)
                for protocol in candidate.start_s
            ),
            key=lambda option: option[0],
        )
        legs = tuple(
            self._leg(phase, size_bytes, protocol, 0.0 if index else best.start_s[protocol])
            for index, phase in enumerate(best.phases)
        )
        return Choice(best, protocol, alone_s, legs)

    def candidates(self, kind: str) -> tuple[Schedule, ...]:
        """Return the schedules that `auto` chooses from for a kind of collective."""
        if kind not in self._schedules:
            capacities = self.world.topology.link_bandwidth_bytes_per_s
            self._schedules[kind] = tuple(
                schedule(plan, capacities) for plan in plans(self.group, kind, self.algorithm)
            )
        return self._schedules[kind]

    def _leg(self, phase: MacroPhase, size_bytes: float, protocol: str, base_s: float) -> Leg:
        return Leg(
            route_set=self._register(phase),
            delay_s=base_s + phase.costs[protocol].delay_s,
            flow_bytes=phase.bytes_moved(size_bytes),
            flow_s=phase.flow_s(size_bytes, protocol),
            bandwidth_part=phase.bandwidth_part(size_bytes, protocol),
            slowest_link=phase.slowest_link,
        )

    def _register(self, phase: MacroPhase) -> RouteSet:
        fabric = self.world.fabric
        route_set = fabric.route_set(phase.links, phase.weights, owner=self.owner)
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
