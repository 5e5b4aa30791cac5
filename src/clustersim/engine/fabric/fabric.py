"""The fluid fabric on a simpy clock: flows start, share links max-min fairly, and finish."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import simpy

from clustersim.engine.fabric.bands import Bands
from clustersim.engine.fabric.clockwork import Clockwork
from clustersim.engine.fabric.compiled import choice
from clustersim.engine.fabric.compiled.switch import Work, compiled_twin
from clustersim.engine.fabric.flow import Flow
from clustersim.engine.fabric.interpreted import Interpreted
from clustersim.engine.fabric.meters import COLLECT_AT, FabricUsage, FloatArray, LinkMeters
from clustersim.engine.fabric.outranked import Outranked
from clustersim.engine.fabric.rate_recorder import RateRecorder
from clustersim.engine.fabric.route_set import RouteSet
from clustersim.engine.fabric.route_sets import RouteSets
from clustersim.engine.fabric.sharing import FULL
from clustersim.engine.fabric.traffic import DEFAULT_TRAFFIC, TrafficClass
from clustersim.errors import InputError

__all__ = ["Fabric"]


class Fabric:
    """Links that fluid flows share max-min fairly.

    *Equation.* At any time the rates x are the max-min fair allocation under
    Σ_flows w_l · x ≤ C_l for every link l and x ≤ bound for every flow: raise all x
    together, freeze a flow at the first of its links that is full or at its bound, go on.
    Between two changes rates are constant, so that the next completion is known exactly.

    Parameters
    ----------
    env
        The clock.
    capacities_bytes_per_s
        Usable capacity of each directed link, bytes/s; finite, zero stalls.
    names
        Name of each link, for messages.
    merge_from
        Links that a route set is the first to use become one constraint where there are at
        least so many of them. The answer does not depend on it, only the speed does.
    keep_rates
        Record how fast flows ran over time; see `rate_history`.
    solver
        `python`; `compiled`, by numba (the extra `fast`); or `auto`: interpreted until solving has
        taken about a second, then compiled where numba is installed. The answers agree to 1e-9.
    repeatable
        Let `auto` decide by this fabric's own work, so that the same run gives the same floats
        whatever else the process did before.

    Raises
    ------
    InputError
        For a capacity that is negative or not finite, as many names as do not match, an unknown
        solver, or `compiled` without numba.

    **Valid when** flows last longer than some round trips and their transport is fair per
    connection; see docs/fabric.md. **Checked by:** tests/engine/test_fabric_simgrid.py
    (SimGrid), test_fabric_properties.py (a slow twin).
    """

    def __init__(
        self,
        env: simpy.Environment,
        capacities_bytes_per_s: Sequence[float],
        *,
        names: Sequence[str],
        merge_from: int = 8,
        keep_rates: bool = False,
        solver: str = "auto",
        repeatable: bool = False,
    ) -> None:
        capacities = [float(value) for value in capacities_bytes_per_s]
        self.env = env
        self.names = tuple(names)
        if len(self.names) != len(capacities):
            raise InputError(f"got {len(self.names)} names for {len(capacities)} links; give one each")
        for name, value in zip(self.names, capacities, strict=True):
            _check_capacity(name, value)
        self._began = tuple(capacities)
        self._capacities = capacities
        self._merge_from = merge_from
        self.meters = LinkMeters(capacities, origin_s=env.now)
        self._work = Work(repeatable=repeatable)
        self._solver = "python"
        solver = choice.solver_of(solver)
        sharing = Interpreted(capacities, self.meters.log, merge_from=merge_from)
        self._clockwork = Clockwork(env, sharing, self.meters)
        if solver == "compiled" or (solver == "auto" and self._work.begin_compiled()):
            self.switch_to_compiled()
        elif solver == "auto" and choice.installed():
            self._clockwork.on_work = self._worked
        self.recorder = RateRecorder() if keep_rates else None
        """What it recorded, where it was made to."""
        if self.recorder is not None:
            self._clockwork.sharing.changed = []
            self._clockwork.on_changed = self._record
        self._route_sets = RouteSets(len(capacities), self._register)
        self._plain = self._route_sets.plain
        self._flows = 0
        self._outranked = Outranked()

    @property
    def solver(self) -> str:
        """Which solver runs now: `python` or `compiled` (of the first priority, where there are several)."""
        return self._solver

    @property
    def solves(self) -> int:
        """How often rates were computed."""
        return self._clockwork.sharing.solves

    @property
    def flows_touched(self) -> int:
        """How many classes' rates were computed, over all solves."""
        return self._clockwork.sharing.flows_touched

    @property
    def wakes(self) -> int:
        """How often the fabric woke up to finish flows."""
        return self._clockwork.wakes

    @property
    def events(self) -> int:
        """Simpy events of the fabric's own: wakes, and flushes that apply the changes of one instant."""
        return self._clockwork.events

    @property
    def now_s(self) -> float:
        """The clock."""
        return float(self.env.now)

    def route_set(
        self,
        links: Sequence[int],
        weights: Sequence[float] | None = None,
        *,
        owner: str = "",
        traffic: TrafficClass = DEFAULT_TRAFFIC,
    ) -> RouteSet:
        """Return the route set of these links; the same object for the same arguments.

        Parameters
        ----------
        links
            Link indices; one that occurs again adds its weight.
        weights
            Consumption of each link per unit of x: how many connections of one macro-flow
            cross it. Default: 1 each.
        owner
            Who uses it, for `private`.
        traffic
            Its priority and weight among others.

        Raises
        ------
        InputError
            For an unknown link, a weight that is not positive and finite, or a different
            number of weights than links.
        """
        if weights is None and not owner and traffic is DEFAULT_TRAFFIC:
            ordered = tuple(sorted(links))
            return self._plain.get(ordered) or self._route_sets.find_plain(ordered)
        return self._route_sets.find(links, weights, owner, traffic)

    def private(self, route_set: RouteSet) -> bool:
        """Whether no other owner uses any of its links and none has changed its capacity."""
        return route_set.private

    def start(self, route_set: RouteSet, size_bytes: float, *, bound_bytes_per_s: float = inf) -> Flow:
        """Begin to move bytes; the flow is an event that fires when they have moved.

        Parameters
        ----------
        size_bytes
            Bytes of x: of each connection, for a macro-flow.
        bound_bytes_per_s
            The flow is never faster than this.

        Raises
        ------
        InputError
            For a size that is negative or not finite, or a bound that is not positive.
        """
        if not 0.0 <= size_bytes < inf:
            raise InputError(f"a flow's size must be zero or more bytes and finite, got {size_bytes!r}")
        if not bound_bytes_per_s > 0.0:
            raise InputError(f"a flow's rate bound must be positive, got {bound_bytes_per_s!r} bytes/s")
        now_s = self.env.now
        self._flows += 1
        flow = Flow(self.env, route_set, size_bytes, self._flows, now_s)
        if size_bytes == 0.0 or (not route_set.links and bound_bytes_per_s == inf):
            flow.end({}, now_s)
            self.env.schedule(flow)
            return flow
        if self.recorder is not None:
            self.recorder.started(route_set, flow)
        clockwork = self._clockwork
        if route_set.share != 1.0:
            size_bytes /= route_set.share
            bound_bytes_per_s /= route_set.share
        clockwork.sharing.start(flow, route_set, size_bytes, bound_bytes_per_s, now_s)
        if route_set.traffic.priority:
            self._outranked.started(flow)
        clockwork.look()
        return flow

    def set_capacity(self, link: int, bytes_per_s: float) -> None:
        """Change a link's capacity from now on; zero stalls the flows that use it.

        Raises
        ------
        InputError
            For an unknown link, or a capacity that is negative or not finite.
        """
        self._route_sets.check_link(link)
        _check_capacity(self.names[link], bytes_per_s)
        now_s = self.now_s
        self._clockwork.sharing.set_capacity(link, float(bytes_per_s), now_s)
        self.meters.capacity_changed(link, float(bytes_per_s), now_s)
        self._capacities[link] = float(bytes_per_s)
        self._clockwork.look()

    def capacity_bytes_per_s(self, link: int) -> float:
        """Present capacity of a link."""
        self._route_sets.check_link(link)
        return self._capacities[link]

    def load_bytes_per_s(self, link: int) -> float:
        """Present load of a link, as of the last solved instant."""
        self._route_sets.check_link(link)
        return self._clockwork.sharing.load(link)

    def starved(self) -> list[Flow]:
        """Return the flows that get nothing because higher priorities take all, not because a link failed."""
        return self._outranked.starved(self.capacity_bytes_per_s)

    def stalled(self) -> list[int]:
        """Return the links of capacity zero on which flows wait."""
        sharing = self._clockwork.sharing
        return [
            link for link, capacity in enumerate(self._capacities) if capacity == 0.0 and sharing.used(link)
        ]

    def account(self, route_set: RouteSet, size_bytes: float, start_s: float, end_s: float) -> None:
        """Book bytes that moved at an even rate from `start_s` to `end_s` without being simulated.

        Links that this rate fills count as saturated for the span.

        Raises
        ------
        InputError
            For a negative size or a span that ends before it starts.
        """
        if not 0.0 <= size_bytes < inf or not start_s <= end_s < inf:
            raise InputError(
                f"cannot book {size_bytes!r} bytes from {start_s!r} s to {end_s!r} s; "
                "give a size of zero or more and an end not before the start"
            )
        self._clockwork.sharing.measure(route_set)
        size_bytes /= route_set.share
        full = size_bytes >= route_set.narrowest * (end_s - start_s) * (1.0 - FULL) > 0.0
        self.meters.log += (-1 - route_set.index if full else route_set.index, start_s, end_s, size_bytes)
        if len(self.meters.log) >= COLLECT_AT:
            self.meters.collect()

    def usage(self, until_s: float | None = None) -> FabricUsage:
        """Return what the links carried from the beginning to `until_s` (default: now).

        Raises
        ------
        InputError
            For a time before now: what was carried since cannot be taken back.
        """
        now_s = self.now_s
        end_s = now_s if until_s is None else until_s
        if end_s < now_s:
            raise InputError(f"usage until {end_s} s was asked for at {now_s} s; ask for now or later")
        sharing = self._clockwork.sharing
        sharing.settle(now_s)
        return self.meters.usage(end_s, sharing.saturation(now_s))

    def moved_bytes(self) -> list[tuple[RouteSet, float]]:
        """Return every route set with the bytes of x that it moved up to now."""
        self._clockwork.sharing.settle(self.now_s)
        return list(zip(self.meters.table.route_sets, self.meters.moved_bytes().tolist(), strict=True))

    def shared_by(self, link: int) -> dict[str, float]:
        """Return the bytes that crossed a link up to now, by owner of the route sets, the greatest first."""
        self._route_sets.check_link(link)
        by_owner: dict[str, float] = {}
        for route_set, moved in self.moved_bytes():
            if moved and link in route_set.links:
                size_bytes = moved * route_set.weights[route_set.links.index(link)]
                by_owner[route_set.owner] = by_owner.get(route_set.owner, 0.0) + size_bytes
        return dict(sorted(by_owner.items(), key=lambda item: -item[1]))

    def rate_history(self, route_set: RouteSet) -> tuple[FloatArray, FloatArray]:
        """Return when the rate of a route set changed, and x from then on, of all its flows together.

        Raises
        ------
        InputError
            Where the fabric was not made with `keep_rates`.
        """
        if self.recorder is None:
            raise InputError("rates were not recorded; make the fabric with keep_rates=True")
        return self.recorder.history(route_set, self.now_s)

    def switch_to_compiled(self) -> None:
        """Go on with the compiled solver from this instant; nothing may be waiting to be solved.

        A fabric with several priorities goes on as it is.

        Raises
        ------
        InputError
            Where numba is missing.
        """
        old = self._clockwork.sharing
        if isinstance(old, Interpreted):
            choice.solver_of("compiled")
            self._clockwork.sharing = compiled_twin(
                old,
                self.meters.table.route_sets,
                self._capacities,
                self.meters.take,
                merge_from=self._merge_from,
                now_s=self.now_s,
            )
            self._clockwork.on_work = None
            self._clockwork.look()
            self._solver = "compiled"

    def _worked(self, cpu_s: float) -> None:
        """Note what solving took, and change to the compiled solver when it is worth it."""
        if self._work.add(cpu_s):
            self._clockwork.on_work = None
            if choice.usable():
                self.switch_to_compiled()

    def _record(self) -> None:
        """Tell the recorder whose rates changed."""
        changed = self._clockwork.sharing.changed
        if changed and self.recorder is not None:
            self.recorder.changed(changed, self.now_s)
            changed.clear()

    def _register(
        self, links: tuple[int, ...], weights: tuple[float, ...], owner: str, traffic: TrafficClass
    ) -> RouteSet:
        """Make a route set, and let who shares the links know it."""
        known = self.meters.table.route_sets
        route_set = RouteSet(len(known), links, weights, owner, traffic)
        clockwork = self._clockwork
        if traffic.priority and not isinstance(clockwork.sharing, Bands):
            clockwork.sharing = Bands(
                clockwork.sharing,
                known,
                self._began,
                self._capacities,
                self.meters.log,
                merge_from=self._merge_from,
            )
        clockwork.sharing.register(route_set, self.env.now)
        known.append(route_set)
        if clockwork.sharing.pending:
            clockwork.look()
        return route_set


def _check_capacity(name: str, bytes_per_s: float) -> None:
    if not 0.0 <= bytes_per_s < inf:
        raise InputError(
            f"link {name}: capacity must be zero or more bytes/s and finite, got {bytes_per_s!r}"
        )
