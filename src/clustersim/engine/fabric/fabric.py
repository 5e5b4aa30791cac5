"""The fluid fabric on a simpy clock: flows start, share links max-min fairly, and finish."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

import simpy
from simpy.events import NORMAL, EventPriority

from clustersim.engine.fabric.bundle import Bundle, Partition
from clustersim.engine.fabric.flow import Flow
from clustersim.engine.fabric.meters import DIGEST_AT, FabricUsage, LinkMeters
from clustersim.engine.fabric.route_set import BOUND, FlowClass, RouteSet
from clustersim.engine.fabric.solver import Solver
from clustersim.errors import InputError

__all__ = ["Fabric"]

_AFTER_NORMAL = EventPriority(2)
"""The solve comes after everything else of the same instant."""
_CARRY = 64
"""A load is carried on from change to change so often before it is added up afresh, which
keeps its rounding below 1e-14 of the capacity (assumed)."""
_SAME_RATE = 1e-12
"""A rate that moves by less, relatively, is left alone (rounding of the solve)."""


class _Wake(simpy.Event):
    """The one event that stands for the next completion of the whole fabric."""

    def __init__(self, env: simpy.Environment, at_s: float) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.at_s = at_s
        """When exactly; the clock may show a rounding error less."""


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
    connection; see docs/fabric.md. **Checked by:** tests/engine/test_fabric_reference.py
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
            raise InputError(f"got {len(self.names)} link names for {len(capacities)} links; give one name each")
        for name, value in zip(self.names, capacities, strict=True):
            _check_capacity(name, value)
        self._partition = Partition(capacities, merge_from=merge_from)
        self._solver = Solver()
        self.meters = LinkMeters(capacities, origin_s=env.now)
        self.wakes = 0
        """How often the fabric woke up to finish flows."""
        self.flushes = 0
        """How often changes of one instant were collected and applied."""
        self._route_sets: dict[tuple[tuple[int, ...], tuple[float, ...], str], RouteSet] = {}
        self._flows = 0
        self._classes = 0
        self._active: dict[FlowClass, None] = {}
        self._queue: list[tuple[float, int, FlowClass]] = []
        self._dirty: list[FlowClass] = []
        self._touched: list[Bundle] = []
        self._wake_at = math.inf
        self._flush_pending = False

    @property
    def solves(self) -> int:
        """How often rates were computed."""
        return self._solver.solves

    @property
    def flows_touched(self) -> int:
        """How many classes' rates were computed, over all solves."""
        return self._solver.flows_touched

    @property
    def events(self) -> int:
        """Simpy events of the fabric's own: wakes and flushes."""
        return self.wakes + self.flushes

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
        """Whether no route set of another owner uses any of its links."""
        return route_set.private

    def start(
        self, route_set: RouteSet, size_bytes: float, *, bound_bytes_per_s: float = math.inf
    ) -> Flow:
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
            if flow_class not in self._active:
                self._activate(flow_class, now_s)
        flow_class.count += 1
        self._flows += 1
        heappush(flow_class.heap, (flow_class.served + size_bytes, self._flows, flow))
        self._mark(flow_class)
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
            self._touched.append(bundle)
            self._schedule_flush()

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
        for flow_class in self._active:
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
            self._touched += changed
            self._schedule_flush()
        return route_set

    def _check_link(self, link: int) -> None:
        if not 0 <= link < len(self.names):
            raise InputError(f"unknown link {link}; the fabric has links 0 to {len(self.names) - 1}")

    def _class_of(self, route_set: RouteSet, bound: float) -> FlowClass:
        flow_class = route_set.unbounded if bound == math.inf else route_set.bounded.get(bound)
        if flow_class is None:
            self._classes += 1
            flow_class = FlowClass(self._classes, route_set, bound)
            if bound == math.inf:
                route_set.unbounded = flow_class
            else:
                route_set.bounded[bound] = flow_class
        return flow_class

    def _activate(self, flow_class: FlowClass, now_s: float) -> None:
        self._active[flow_class] = None
        flow_class.since = now_s
        for bundle, coefficient in flow_class.pairs:
            bundle.active[flow_class] = coefficient

    def _deactivate(self, flow_class: FlowClass, now_s: float, seeds: list[FlowClass]) -> None:
        """Take a class without flows off its links; whom those links hold back become seeds."""
        del self._active[flow_class]
        total, holder = flow_class.total, flow_class.holder
        if holder is not None:
            del holder.held[flow_class]
        for bundle, coefficient in flow_class.pairs:
            active = bundle.active
            del active[flow_class]
            if active:
                bundle.load -= coefficient * total
                bundle.carried += 1
            else:
                bundle.load = 0.0
                bundle.carried = 0
            if bundle.held:
                seeds += bundle.held
            else:
                bundle.level = math.inf
            if bundle.saturated_since != math.inf and bundle.load < bundle.nearly_full:
                bundle.close(now_s)
        flow_class.rate = flow_class.total = 0.0
        flow_class.holder = None
        flow_class.holder_link = BOUND
        if flow_class.bound != math.inf:
            del flow_class.route_set.bounded[flow_class.bound]

    def _instant(self, size_bytes: float) -> Flow:
        flow = Flow(self.env, None, size_bytes)
        flow.finished_s = flow.started_s
        flow.succeed()
        return flow

    # -- changes of one instant ---------------------------------------------------------

    def _mark(self, flow_class: FlowClass) -> None:
        if not flow_class.dirty:
            flow_class.dirty = True
            self._dirty.append(flow_class)
            if not self._flush_pending:
                self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flush_pending:
            self._flush_pending = True
            event = simpy.Event(self.env)
            event._ok = True
            event._value = None
            event.callbacks = [self._flush]
            self.env.schedule(event, _AFTER_NORMAL)

    def _flush(self, _: simpy.Event) -> None:
        """Apply all changes of this instant with one solve."""
        self._flush_pending = False
        self.flushes += 1
        now_s = self.env.now
        seeds = self._seeds(now_s)
        if seeds:
            self._apply(self._solver.solve(seeds), now_s)
            self._apply_loads(now_s)
        self._arrange_wake(now_s)
        if len(self.meters.log) >= DIGEST_AT:
            self.meters.digest()

    def _seeds(self, now_s: float) -> list[FlowClass]:
        """Return the classes whose flows came or went, and those held back where they did."""
        seeds: list[FlowClass] = []
        dirty, self._dirty = self._dirty, []
        for flow_class in dirty:
            if flow_class.count == 0:
                flow_class.dirty = False
                self._deactivate(flow_class, now_s, seeds)
            elif flow_class.total == flow_class.count * flow_class.rate > 0.0:
                flow_class.dirty = False
                self._schedule_finish(flow_class, now_s)  # as many came as went: no rate changes
            else:
                seeds.append(flow_class)
                for bundle, _ in flow_class.pairs:
                    if bundle.held:
                        seeds += bundle.held
        if self._touched:
            touched, self._touched = self._touched, []
            for bundle in touched:
                seeds += bundle.held
                if bundle.load > bundle.capacity:
                    seeds += bundle.active
        elif len(dirty) == 1:
            return seeds
        return [flow_class for flow_class in seeds if flow_class.count]

    def _apply(self, members: list[FlowClass], now_s: float) -> None:
        """Give classes the rates and the holders that the solver found."""
        for flow_class in members:
            rate, old_rate = flow_class.new_rate, flow_class.rate
            if abs(rate - old_rate) > _SAME_RATE * rate or (rate == 0.0) != (old_rate == 0.0):
                flow_class.settle(now_s, self.meters)
                flow_class.rate = rate
                flow_class.dirty = True
            if flow_class.dirty:
                flow_class.dirty = False
                flow_class.total = flow_class.count * flow_class.rate
                self._schedule_finish(flow_class, now_s)
            old, new = flow_class.holder, flow_class.new_holder
            if old is not new:
                if old is not None:
                    del old.held[flow_class]
                if new is not None:
                    new.held[flow_class] = None
                flow_class.holder = new
            link = BOUND if new is None else new.tightest
            if link != flow_class.holder_link:
                flow_class.settle_holder(now_s)
                flow_class.holder_link = link

    def _apply_loads(self, now_s: float) -> None:
        """Bring load, level and saturation of the solved bundles up to date."""
        turn = self._solver.turn
        for bundle in self._solver.bundles:
            load = 0.0
            for flow_class, weight in bundle.local:
                load += weight * flow_class.rate
            if len(bundle.local) < len(bundle.active):
                load += bundle.capacity - bundle.free
                bundle.carried += 1
            bundle.load = load
            if bundle.carried > _CARRY:
                bundle.add_up()
            if bundle.froze == turn:
                bundle.level = bundle.new_level
            elif not bundle.held:
                bundle.level = math.inf
            if (load >= bundle.nearly_full) != (bundle.saturated_since != math.inf):
                bundle.watch(now_s)
        for bundle, flow_class, weight in self._solver.alone:
            bundle.load = load = weight * flow_class.rate
            bundle.level = flow_class.rate if flow_class.holder is bundle else math.inf
            if (load >= bundle.nearly_full) != (bundle.saturated_since != math.inf):
                bundle.watch(now_s)

    def _schedule_finish(self, flow_class: FlowClass, now_s: float) -> None:
        rate = flow_class.rate
        if rate > 0.0:
            if flow_class.since < now_s:
                flow_class.settle(now_s, self.meters)
            left = flow_class.heap[0][0] - flow_class.served
            flow_class.finish_s = finish_s = now_s + left / rate if left > 0.0 else now_s
            heappush(self._queue, (finish_s, flow_class.index, flow_class))
        else:
            flow_class.finish_s = math.inf

    # -- completions --------------------------------------------------------------------

    def _arrange_wake(self, now_s: float) -> None:
        """See to it that the fabric wakes at its next completion, and no earlier than needed."""
        queue = self._queue
        if len(queue) > 64 + 4 * len(self._active):
            self._queue = queue = sorted({entry for entry in queue if entry[2].finish_s == entry[0]})
        while queue and queue[0][2].finish_s != queue[0][0]:
            heappop(queue)
        if queue and queue[0][0] < self._wake_at:
            self._wake_at = at_s = queue[0][0]
            wake = _Wake(self.env, at_s)
            wake.callbacks.append(self._wake)
            self.env.schedule(wake, NORMAL, at_s - now_s)

    def _wake(self, event: simpy.Event) -> None:
        """Finish the flows whose time has come: by their key, never by what seems to be left."""
        assert isinstance(event, _Wake)
        if event.at_s != self._wake_at:
            return  # an earlier completion came in between; this one was arranged again since
        self.wakes += 1
        self._wake_at = math.inf
        now_s = self.env.now
        due_s = max(now_s, event.at_s)
        queue = self._queue
        done: list[tuple[int, FlowClass, Flow]] = []
        while queue and queue[0][0] <= due_s:
            finish_s, _, flow_class = heappop(queue)
            if flow_class.finish_s == finish_s:
                self._complete(flow_class, now_s, done)
        if not done:
            self._arrange_wake(now_s)
        elif len(done) > 1:
            done.sort()
        for _, flow_class, flow in done:
            flow.end(flow_class, now_s)
            flow.succeed()

    def _complete(self, flow_class: FlowClass, now_s: float, done: list[tuple[int, FlowClass, Flow]]) -> None:
        """Take the flows with the least target out of a class that has served it."""
        heap = flow_class.heap
        target = heap[0][0]
        service = target - flow_class.served
        if service > 0.0:
            self.meters.log += (flow_class.route_set.index, flow_class.since, now_s, flow_class.count * service)
        flow_class.served, flow_class.since = target, now_s
        while heap and heap[0][0] <= target:
            _, number, flow = heappop(heap)
            done.append((number, flow_class, flow))
        flow_class.count = len(heap)
        flow_class.finish_s = math.inf
        if not heap:
            flow_class.served = 0.0
        self._mark(flow_class)


def _check_capacity(name: str, bytes_per_s: float) -> None:
    if not 0.0 <= bytes_per_s < math.inf:
        raise InputError(
            f"link {name}: capacity must be zero or more bytes/s and finite, got {bytes_per_s!r}"
        )
