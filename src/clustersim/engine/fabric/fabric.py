"""The fluid fabric on a simpy clock: flows start, share links max-min fairly, and finish."""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappush

import simpy

from clustersim.engine.fabric.bundle import Partition
from clustersim.engine.fabric.clockwork import Clockwork
from clustersim.engine.fabric.flow import Flow
from clustersim.engine.fabric.meters import DIGEST_AT, FabricUsage, LinkMeters
from clustersim.engine.fabric.route_set import FlowClass, RouteSet
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

    Raises
    ------
    InputError
        For a capacity that is negative or not finite, or as many names as do not match.

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
    ) -> None:
        capacities = [float(value) for value in capacities_bytes_per_s]
        self.env = env
        self.names = tuple(names)
        if len(self.names) != len(capacities):
            raise InputError(f"got {len(self.names)} names for {len(capacities)} links; give one each")
        for name, value in zip(self.names, capacities, strict=True):
            _check_capacity(name, value)
        self._partition = Partition(capacities, merge_from=merge_from)
        self.meters = LinkMeters(capacities, origin_s=env.now)
        self._clockwork = Clockwork(env, self.meters)
        self._route_sets: dict[tuple[tuple[int, ...], tuple[float, ...], str], RouteSet] = {}
        self._flows = 0
        self._classes = 0

    @property
    def solves(self) -> int:
        """How often rates were computed."""
        return self._clockwork.solver.solves

    @property
    def flows_touched(self) -> int:
        """How many classes' rates were computed, over all solves."""
        return self._clockwork.solver.flows_touched

    @property
    def wakes(self) -> int:
        """How often the fabric woke up to finish flows."""
        return self._clockwork.wakes

    @property
    def events(self) -> int:
        """Simpy events of the fabric's own: wakes, and flushes that apply the changes of one instant."""
        return self._clockwork.wakes + self._clockwork.flushes

    @property
    def now_s(self) -> float:
        """The clock."""
        return float(self.env.now)

    def route_set(
        self, links: Sequence[int], weights: Sequence[float] | None = None, *, owner: str = ""
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

        Raises
        ------
        InputError
            For an unknown link, a weight that is not positive and finite, or a different
            number of weights than links.
        """
        if weights is None and len(set(links)) == len(links):
            ordered = tuple(sorted(links))
            key = (ordered, (1.0,) * len(ordered), owner)
        else:
            key = (*self._sum_weights(links, weights), owner)
        route_set = self._route_sets.get(key)
        if route_set is None:
            route_set = self._register(*key)
            self._route_sets[key] = route_set
        return route_set

    def private(self, route_set: RouteSet) -> bool:
        """Whether no other owner uses any of its links and none has changed its capacity."""
        return route_set.private

    def start(self, route_set: RouteSet, size_bytes: float, *, bound_bytes_per_s: float = math.inf) -> Flow:
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
        if not 0.0 <= size_bytes < math.inf:
            raise InputError(f"a flow's size must be zero or more bytes and finite, got {size_bytes!r}")
        if not bound_bytes_per_s > 0.0:
            raise InputError(f"a flow's rate bound must be positive, got {bound_bytes_per_s!r} bytes/s")
        if size_bytes == 0.0 or (not route_set.pairs and bound_bytes_per_s == math.inf):
            return self._instant(size_bytes)
        flow_class = self._class_of(route_set, bound_bytes_per_s)
        now_s = self.env.now
        flow = Flow(self.env, flow_class, size_bytes)
        if flow_class.count:
            flow_class.settle(now_s, self.meters)
            flow.begin(flow_class, now_s)
        else:
            flow_class.held_s, flow_class.held_since = {}, now_s
            flow_class.since = now_s
        flow_class.count += 1
        self._flows += 1
        heappush(flow_class.heap, (flow_class.served + size_bytes, self._flows, flow))
        self._clockwork.mark(flow_class)
        return flow

    def set_capacity(self, link: int, bytes_per_s: float) -> None:
        """Change a link's capacity from now on; zero stalls the flows that use it.

        Raises
        ------
        InputError
            For an unknown link, or a capacity that is negative or not finite.
        """
        self._check_link(link)
        _check_capacity(self.names[link], bytes_per_s)
        now_s = self.now_s
        self.meters.capacity_changed(link, float(bytes_per_s), now_s)
        bundle = self._partition.set_capacity(link, float(bytes_per_s), now_s)
        if bundle is not None:
            self._clockwork.touch([bundle])

    def capacity_bytes_per_s(self, link: int) -> float:
        """Present capacity of a link."""
        self._check_link(link)
        return self._partition.capacities[link]

    def load_bytes_per_s(self, link: int) -> float:
        """Present load of a link, as of the last solved instant."""
        self._check_link(link)
        bundle = self._partition.bundle_of[link]
        return 0.0 if bundle is None else bundle.load * bundle.members[link]

    def stalled(self) -> list[int]:
        """Return the links of capacity zero on which flows wait."""
        capacities, bundle_of = self._partition.capacities, self._partition.bundle_of
        return [
            link
            for link, bundle in enumerate(bundle_of)
            if bundle is not None and capacities[link] == 0.0 and bundle.active
        ]

    def account(self, route_set: RouteSet, size_bytes: float, start_s: float, end_s: float) -> None:
        """Book bytes that moved at an even rate from `start_s` to `end_s` without being simulated.

        Links that this rate fills count as saturated for the span.

        Raises
        ------
        InputError
            For a negative size or a span that ends before it starts.
        """
        if not 0.0 <= size_bytes < math.inf or not start_s <= end_s < math.inf:
            raise InputError(
                f"cannot book {size_bytes!r} bytes from {start_s!r} s to {end_s!r} s; "
                "give a size of zero or more and an end not before the start"
            )
        self.meters.log += (route_set.index, start_s, end_s, float(size_bytes))
        if end_s > start_s:
            rate = size_bytes / (end_s - start_s)
            for bundle, coefficient in route_set.pairs:
                if coefficient * rate >= bundle.nearly_full:
                    bundle.saturated_s += end_s - start_s
                    bundle.first_saturated_s = min(bundle.first_saturated_s, start_s)
                    bundle.last_saturated_s = max(bundle.last_saturated_s, end_s)
        if len(self.meters.log) >= DIGEST_AT:
            self.meters.digest()

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
        for flow_class in self._clockwork.active:
            flow_class.settle(now_s, self.meters)
        return self.meters.usage(end_s, self._partition.saturation(now_s))

    # -- route sets and classes ---------------------------------------------------------

    def _sum_weights(
        self, links: Sequence[int], weights: Sequence[float] | None
    ) -> tuple[tuple[int, ...], tuple[float, ...]]:
        if weights is not None and len(weights) != len(links):
            raise InputError(f"got {len(weights)} weights for {len(links)} links; give one each")
        total: dict[int, float] = {}
        for link, weight in zip(links, weights if weights is not None else (1.0,) * len(links), strict=True):
            if not 0.0 < weight < math.inf:
                raise InputError(f"the weight of link {link} must be positive and finite, got {weight!r}")
            total[link] = total.get(link, 0.0) + float(weight)
        ordered = tuple(sorted(total))
        return ordered, tuple(total[link] for link in ordered)

    def _register(self, links: tuple[int, ...], weights: tuple[float, ...], owner: str) -> RouteSet:
        if links:
            self._check_link(links[0])
            self._check_link(links[-1])
        route_set = RouteSet(len(self._route_sets), links, weights, owner)
        changed = self._partition.register(route_set, self.env.now)
        self.meters.register(links, weights)
        if changed:
            self._clockwork.touch(changed)
        return route_set

    def _check_link(self, link: int) -> None:
        if not 0 <= link < len(self.names):
            raise InputError(f"unknown link {link}; the fabric has links 0 to {len(self.names) - 1}")

    def _class_of(self, route_set: RouteSet, bound: float) -> FlowClass:
        if bound == math.inf:
            if route_set.unbounded is None:
                route_set.unbounded = self._new_class(route_set, bound)
            return route_set.unbounded
        if route_set.bounded is None:
            route_set.bounded = {}
        flow_class = route_set.bounded.get(bound)
        if flow_class is None:
            flow_class = route_set.bounded[bound] = self._new_class(route_set, bound)
        return flow_class

    def _new_class(self, route_set: RouteSet, bound: float) -> FlowClass:
        self._classes += 1
        return FlowClass(self._classes, route_set, bound)

    def _instant(self, size_bytes: float) -> Flow:
        flow = Flow(self.env, None, size_bytes)
        flow.finished_s = flow.started_s
        flow.succeed()
        return flow


def _check_capacity(name: str, bytes_per_s: float) -> None:
    if not 0.0 <= bytes_per_s < math.inf:
        raise InputError(
            f"link {name}: capacity must be zero or more bytes/s and finite, got {bytes_per_s!r}"
        )
