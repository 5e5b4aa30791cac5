"""Collectives of a group before they run: how each is done, over which links, and what it takes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from clustersim.collectives.choice import chooser_for
from clustersim.collectives.kinds import BARRIER_BYTES, bus_bytes_factor, parse_kind
from clustersim.collectives.macro import MacroPhase, Schedule
from clustersim.collectives.macro_run import Choice, Leg
from clustersim.collectives.phase_cost import Timing
from clustersim.engine.fabric import DEFAULT_TRAFFIC
from clustersim.engine.owners import part_of
from clustersim.engine.trace import NETWORK_LATENCY, link_resource

if TYPE_CHECKING:
    from clustersim.collectives.user_algorithm import UserAlgorithm
    from clustersim.engine.fabric import RouteSet, TrafficClass
    from clustersim.engine.world import World

__all__ = ["PlannedCollectives"]

_KEPT_SIZES = 65536


class PlannedCollectives:
    """What is known of the collectives of a group without running one.

    A size is looked up once: the schedule that is fastest alone, its route sets on the fabric, and its
    closed form. Parameters are those of `clustersim.collectives.Communicator`, which runs them.

    Parameters
    ----------
    groups
        Ranks in order of the group, and of those that run each collective with it in lockstep.

    **Valid when** all ranks enter at once; see `clustersim.collectives.macro`.
    **Checked by:** tests/collectives; `clustersim validate collectives`.
    """

    def __init__(
        self,
        world: World,
        groups: Sequence[Sequence[str]],
        *,
        owner: str,
        algorithm: str | UserAlgorithm,
        channels: int | None,
        chunks: int | None,
        traffic: TrafficClass = DEFAULT_TRAFFIC,
        part: str = "",
    ) -> None:
        self._chooser = chooser_for(
            world.topology, groups, channels=channels, chunks=chunks, algorithm=algorithm
        )
        self.group = self._chooser.group
        self.world = world
        self.owner = owner
        self.traffic = traffic
        self._group_count = len(groups)
        self._link_owner = part_of(owner, part)
        self._choices: dict[tuple[str, float], Choice] = {}
        self._route_sets: dict[int, RouteSet] = {}
        self._phases: dict[int, tuple[MacroPhase, RouteSet]] = {}
        self._on_shared: list[Callable[[], None]] = []
        self._resources: dict[int, str] = {}

    # ---- alone

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

    def bus_bytes_factor(self, kind: str) -> float:
        """Return what nccl-tests multiplies size/time with to get bus bandwidth."""
        return bus_bytes_factor(kind, ranks=len(self.group))

    @property
    def ranks(self) -> int:
        """Ranks that take part: of all groups that run each collective side by side."""
        return self._group_count * len(self.group)

    def senders(self, kind: str) -> int:
        """Return how many ranks send what `bus_bytes_factor` says: all, or one of a group point to point."""
        return self._group_count if parse_kind(kind).name == "send_recv" else self.ranks

    def candidates(self, kind: str) -> tuple[Schedule, ...]:
        """Return the schedules that are chosen from for a kind of collective."""
        return self._chooser.candidates(kind)

    # ---- links

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

    def note_waits(self, leg: Leg, full_s: Mapping[int, float], own_s: float, *, until_s: float) -> None:
        """Tell the world which full links held a leg back how long, and how long its own protocol did."""
        waits, purpose = self.world.link_waits, leg.route_set.purpose
        for link, seconds in full_s.items():
            own_here_s = own_s if link == leg.slowest_link else 0.0
            waits.add(self.owner, purpose, link, full_s=seconds, protocol_s=own_here_s, until_s=until_s)
        if leg.slowest_link not in full_s:
            waits.add(self.owner, purpose, leg.slowest_link, protocol_s=own_s, until_s=until_s)

    def add_share(self, shares: dict[str, float], link: int, seconds: float) -> None:
        """Add seconds that a link held a collective back; runs call it."""
        resource = self._resources.get(link)
        if resource is None:
            resource = self._resources[link] = link_resource(self.world.topology.link_names[link])
        shares[resource] = shares.get(resource, 0.0) + seconds

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

    def _route_set(self, links: Sequence[int], weights: Sequence[float]) -> RouteSet:
        return self.world.fabric.route_set(links, weights, owner=self._link_owner, traffic=self.traffic)

    # ---- choices

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

    @staticmethod
    def _with_latency(shares: dict[str, float], duration_s: float) -> dict[str, float]:
        """Give latency what bandwidth leaves of the duration."""
        shares[NETWORK_LATENCY] = max(0.0, duration_s - sum(shares.values()))
        return shares
