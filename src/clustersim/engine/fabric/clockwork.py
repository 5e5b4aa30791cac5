"""Flows in time: changes of one instant solved once, one wake for the next completion."""

from __future__ import annotations

import math
from heapq import heappop, heappush

import simpy
from simpy.events import NORMAL, EventPriority

from clustersim.engine.fabric.bundle import Bundle
from clustersim.engine.fabric.flow import Flow
from clustersim.engine.fabric.meters import DIGEST_AT, LinkMeters
from clustersim.engine.fabric.route_set import BOUND, FlowClass
from clustersim.engine.fabric.solver import Solver

__all__ = ["Clockwork"]

_AFTER_NORMAL = EventPriority(2)
"""The solve comes after everything else of the same instant."""
_AUDIT = 4096
"""Loads are carried on from solve to solve at most so often before they are added up afresh,
which keeps their rounding below 1e-12 of the capacity (assumed)."""
_SAME_RATE = 1e-12
"""A rate that moves by less, relatively, is left alone (rounding of the solve; assumed)."""


class _Wake(simpy.Event):
    """The one event that stands for the next completion of the whole fabric."""

    def __init__(self, env: simpy.Environment, at_s: float) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.at_s = at_s
        """When exactly; the clock may show a rounding error less."""


class Clockwork:
    """Puts the solver's rates on the clock.

    Whoever changes something marks it (`mark`, `touch`). All that is marked in one instant
    is solved once, after everything else of that instant. One event stands for the next
    completion; when it fires, the flows whose target was reached finish, and their classes
    are marked in turn.
    """

    def __init__(self, env: simpy.Environment, meters: LinkMeters) -> None:
        self.env = env
        self.meters = meters
        self.solver = Solver()
        self.active: dict[FlowClass, None] = {}
        """Classes with flows."""
        self.wakes = 0
        self.flushes = 0
        self._queue: list[tuple[float, int, FlowClass]] = []
        self._dirty: list[FlowClass] = []
        self._touched: list[Bundle] = []
        self._wake_at = math.inf
        self._audit_at = 256
        self._flush_pending = False

    def mark(self, flow_class: FlowClass) -> None:
        """Note that flows of this class came or went."""
        if not flow_class.dirty:
            flow_class.dirty = True
            self._dirty.append(flow_class)
            if not self._flush_pending:
                self._schedule_flush()

    def touch(self, bundles: list[Bundle]) -> None:
        """Note that these bundles changed under their flows."""
        self._touched += bundles
        if not self._flush_pending:
            self._schedule_flush()

    def _schedule_flush(self) -> None:
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
        dirty, self._dirty = self._dirty, []
        first = dirty[0] if len(dirty) == 1 and not self._touched else None
        if first is not None and first.total == 0.0 and self.solver.solve_alone(first):
            self._activate_alone(first, now_s)
        else:
            seeds = self._seeds(dirty, now_s)
            if seeds:
                if self.solver.solves >= self._audit_at:
                    self._audit()
                self._apply(self.solver.solve(seeds), now_s)
                self._apply_loads(now_s)
        self._arrange_wake(now_s)
        if len(self.meters.log) >= DIGEST_AT:
            self.meters.digest()

    def _seeds(self, dirty: list[FlowClass], now_s: float) -> list[FlowClass]:
        """Return the classes whose flows came or went, and those held back where they did."""
        seeds: list[FlowClass] = []
        for flow_class in dirty:
            if flow_class.count == 0:
                flow_class.dirty = False
                self._deactivate(flow_class, now_s, seeds)
            elif flow_class.total == flow_class.count * flow_class.rate > 0.0:
                flow_class.dirty = False
                self._schedule_finish(flow_class, now_s)  # as many came as went: no rate changes
            else:
                if flow_class.total == 0.0 and flow_class not in self.active:
                    self._activate(flow_class)
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
                if flow_class.since < now_s:
                    flow_class.settle(now_s, self.meters)
                flow_class.rate = rate
                flow_class.dirty = True
            if flow_class.dirty:
                flow_class.dirty = False
                flow_class.total = flow_class.count * flow_class.rate
                self._schedule_finish(flow_class, now_s)
            holder = flow_class.new_holder
            if flow_class.holder is not holder:
                if flow_class.holder is not None:
                    del flow_class.holder.held[flow_class]
                if holder is not None:
                    holder.held[flow_class] = None
                flow_class.holder = holder
            link = BOUND if holder is None else holder.tightest
            if link != flow_class.holder_link:
                flow_class.settle_holder(now_s)
                flow_class.holder_link = link

    def _apply_loads(self, now_s: float) -> None:
        """Bring load, level and saturation of the solved bundles up to date."""
        solver = self.solver
        for bundle in solver.full:
            bundle.level = bundle.new_level
        for bundle in solver.pressed:
            if not bundle.held:
                bundle.level = math.inf
        for bundle in solver.bundles:
            local = bundle.local
            load = bundle.capacity - bundle.free if len(local) < bundle.users else 0.0
            for flow_class, weight in local:
                load += weight * flow_class.rate
            bundle.load = load
            if (load >= bundle.nearly_full) != (bundle.saturated_since != math.inf):
                bundle.watch(now_s)
        for bundle, flow_class, weight in solver.alone:
            bundle.load = load = weight * flow_class.rate
            bundle.level = flow_class.rate if flow_class.holder is bundle else math.inf
            if (load >= bundle.nearly_full) != (bundle.saturated_since != math.inf):
                bundle.watch(now_s)

    def _audit(self) -> None:
        """Add up all loads afresh now and then, so that their rounding cannot accumulate."""
        self._audit_at = self.solver.solves + min(256 + len(self.active), _AUDIT)
        for bundle in {bundle: None for flow_class in self.active for bundle, _ in flow_class.pairs}:
            bundle.add_up()

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

    # -- coming and going ---------------------------------------------------------------

    def _activate(self, flow_class: FlowClass) -> None:
        self.active[flow_class] = None
        for bundle, coefficient in flow_class.pairs:
            bundle.active[flow_class] = coefficient
            bundle.users += 1

    def _activate_alone(self, flow_class: FlowClass, now_s: float) -> None:
        """Put a class that meets nobody on its links, at the rate that the solver found."""
        self.active[flow_class] = None
        flow_class.dirty = False
        flow_class.rate = rate = flow_class.new_rate
        flow_class.total = total = flow_class.count * rate
        for bundle, coefficient in flow_class.pairs:
            bundle.active[flow_class] = coefficient
            bundle.users = 1
            bundle.load = load = coefficient * total
            if load >= bundle.nearly_full:
                bundle.saturated_since = now_s
        flow_class.holder = holder = flow_class.new_holder
        if holder is not None:
            holder.held[flow_class] = None
            holder.level = rate
            flow_class.holder_link = holder.tightest
        self._schedule_finish(flow_class, now_s)

    def _deactivate(self, flow_class: FlowClass, now_s: float, seeds: list[FlowClass]) -> None:
        """Take a class without flows off its links; whom those links hold back become seeds."""
        del self.active[flow_class]
        total, holder = flow_class.total, flow_class.holder
        if holder is not None:
            del holder.held[flow_class]
        for bundle, coefficient in flow_class.pairs:
            del bundle.active[flow_class]
            bundle.users -= 1
            if bundle.users:
                bundle.load -= coefficient * total
                if bundle.held:
                    seeds += bundle.held
                else:
                    bundle.level = math.inf
                if bundle.saturated_since != math.inf:
                    bundle.watch(now_s)
            else:
                bundle.load = 0.0
                bundle.level = math.inf
                if bundle.saturated_since != math.inf:
                    bundle.close(now_s)
        flow_class.rate = flow_class.total = 0.0
        flow_class.holder = None
        flow_class.holder_link = BOUND
        if flow_class.route_set.bounded is not None:
            flow_class.route_set.bounded.pop(flow_class.bound, None)  # bounds vary: not kept

    # -- completions --------------------------------------------------------------------

    def _arrange_wake(self, now_s: float) -> None:
        """See to it that the fabric wakes at its next completion, and no earlier than needed."""
        queue = self._queue
        if len(queue) > 64 + 4 * len(self.active):
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
            moved_bytes = flow_class.count * service
            self.meters.log += (flow_class.route_set.index, flow_class.since, now_s, moved_bytes)
        flow_class.served, flow_class.since = target, now_s
        while heap and heap[0][0] <= target:
            _, number, flow = heappop(heap)
            done.append((number, flow_class, flow))
        flow_class.count = len(heap)
        flow_class.finish_s = math.inf
        if not heap:
            flow_class.served = 0.0
        self.mark(flow_class)
