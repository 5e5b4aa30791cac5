"""The interpreted sharing: classes come and go, and the solver is called where others feel it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappop, heappush

from clustersim.engine.fabric.bundle import Bundle
from clustersim.engine.fabric.flow import Flow
from clustersim.engine.fabric.flow_class import FlowClass
from clustersim.engine.fabric.pacer import Pacer
from clustersim.engine.fabric.partition import Partition
from clustersim.engine.fabric.presence import recount, take_parts
from clustersim.engine.fabric.roster import Roster
from clustersim.engine.fabric.route_set import RouteSet
from clustersim.engine.fabric.solver import Solver

__all__ = ["Interpreted"]

_AUDIT = 4096
"""Loads are carried on from solve to solve at most so often before they are added up afresh,
which keeps their rounding below 1e-12 of the capacity (assumed)."""


class Interpreted:
    """Shares links in plain Python; see `sharing.Sharing`.

    Parameters
    ----------
    capacities
        Bytes/s of each link.
    log
        Where to write what moved.
    merge_from
        As of `Partition`.
    contended_from
        From how many classes on a bundle is kept as contended: 2, or 1 where capacities change all
        the time, as below a higher priority. The answer does not depend on it.
    """

    def __init__(
        self, capacities: Sequence[float], log: list[float], *, merge_from: int, contended_from: int = 2
    ) -> None:
        self.partition = Partition(capacities, merge_from=merge_from)
        self._roster = Roster(contended_from=contended_from)
        self._enter = self._roster.enter
        self.alive = self._roster.alive
        """Classes with flows."""
        self.pending = False
        self.next_s = math.inf
        self.solves = 0
        self.flows_touched = 0
        self.contended_from = contended_from
        self._log = log
        self._solver = Solver()
        self._pacer = Pacer(log, marks=contended_from > 1)
        self._completions = self._pacer.completions
        self._dirty: list[FlowClass] = []
        self._touched: list[Bundle] = []
        self._solved_s = math.nan
        self._audit_at = 256

    @property
    def changed(self) -> list[RouteSet] | None:
        """Where to append the route sets whose total rate changed; None: nobody asks."""
        return self._pacer.changed

    @changed.setter
    def changed(self, changed: list[RouteSet] | None) -> None:
        self._pacer.changed = changed

    # -- changes ------------------------------------------------------------------------

    def register(self, route_set: RouteSet, now_s: float) -> None:
        """Take up a new route set, and tell those that it ends the privacy of."""
        split = self.partition.register(route_set, now_s)
        if split:
            self._take_split(split)

    def measure(self, route_set: RouteSet) -> None:
        """Bring `narrowest` and `narrowest_link` of a route set up to date with the capacities."""
        if route_set.measured != self.partition.state:
            self.partition.measure(route_set)

    def start(self, flow: Flow, route_set: RouteSet, size_bytes: float, bound: float, now_s: float) -> None:
        """Let a flow begin; at once, if that alters nobody else's rate."""
        if bound == math.inf:
            flow_class = route_set.unbounded
        else:
            flow_class = route_set.bounded.get(bound) if route_set.bounded else None
        flow.sharing = self
        if flow_class is None:
            self._begin(flow, route_set, size_bytes, bound, now_s)
            return
        flow.place = flow_class
        if flow_class.count:
            flow_class.settle(now_s, self._log)
            if flow_class.held_s is not None or flow_class.held_since < now_s:
                flow.held_before = dict(flow_class.settle_holder(now_s))
        else:
            flow_class.held_s, flow_class.held_since = None, now_s
        flow_class.count += 1
        heappush(flow_class.heap, (flow_class.served + size_bytes, flow.number, flow))
        self._mark(flow_class)

    def set_capacity(self, link: int, bytes_per_s: float, now_s: float) -> None:
        """Change a link from now on."""
        partition = self.partition
        if self.contended_from == 1:
            split = partition.isolate(link, now_s)
            if split:
                self._take_split(split)
        bundle = partition.set_capacity(link, bytes_per_s, now_s)
        if bundle is None:
            return
        waiting = [c for c in self._roster.parked if link in c.route_set.links]
        for flow_class in [*bundle.active, *waiting]:
            flow_class.settle(now_s, self._log)
            self._mark(flow_class)
        if len(bundle.active) >= self.contended_from:
            bundle.watch(now_s)
            bundle.full = True
            self._touched.append(bundle)
            self.pending = True

    def finish(self, due_s: float, now_s: float) -> Sequence[Flow]:
        """End the flows that are done by `due_s` and return them in order of starting."""
        done: list[Flow] = []
        completions = self._completions
        entries = completions.entries
        while entries and entries[0][0] <= due_s:
            flow_class = completions.take(due_s)
            if flow_class is not None:
                self._complete(flow_class, now_s, done)
        if len(done) > 1:
            done.sort(key=_number)
        if not self.pending:
            self.next_s = completions.next_s(len(self.alive))
        return done

    def solve(self, now_s: float) -> None:
        """Find the rates after all changes of this instant with one solve."""
        self.pending = False
        fresh, held = self._seeds(now_s)
        if fresh or held:
            self._count(now_s)
            solver = self._solver
            if len(fresh) > 1 or not solver.solve_few(fresh[0] if fresh else held[0], held):
                solver.solve(fresh, held)
            self.flows_touched += len(solver.members)
            self._apply(now_s)
            if self.solves >= self._audit_at:
                self._audit()
        self.next_s = self._completions.next_s(len(self.alive))

    # -- observation --------------------------------------------------------------------

    def rate(self, flow: Flow) -> float:
        """Return the present rate of a flow that has not ended."""
        rate: float = flow.place.rate
        return rate

    def held_s(self, flow: Flow, now_s: float) -> dict[int, float]:
        """Return the seconds by holding link of a flow that has not ended, since it began."""
        held_s: dict[int, float] = flow.place.held_of(flow, now_s)
        return held_s

    def load(self, link: int) -> float:
        """Return the bytes/s that cross a link, as of the last solve."""
        bundle = self.partition.bundle_of[link]
        if bundle is None:
            return 0.0
        if len(bundle.active) < self.contended_from:
            load = sum(coefficient * flow_class.total for flow_class, coefficient in bundle.active.items())
            return load * bundle.scale(link)
        return bundle.load * bundle.scale(link)

    def used(self, link: int) -> bool:
        """Return whether flows that have not ended use the link."""
        bundle = self.partition.bundle_of[link]
        return bundle is not None and (
            bool(bundle.active) or any(link in c.route_set.links for c in self._roster.parked)
        )

    def settle(self, now_s: float) -> None:
        """Write to the log what has moved up to now."""
        for flow_class in self.alive:
            flow_class.settle(now_s, self._log)

    def saturation(self, now_s: float) -> tuple[list[float], list[float], list[float]]:
        """Return seconds saturated, first and last saturated time of every link, without the log's spans."""
        return self.partition.saturation(now_s)

    # -- coming and going ---------------------------------------------------------------

    def _take_split(self, split: Sequence[Bundle]) -> None:
        """Take up bundles (part, what it was split off, …) that carry flows."""
        for part, bundle in zip(split[::2], split[1::2], strict=True):
            take_parts(bundle, part, contended_from=self.contended_from)
        self._touched += split
        self.pending = True

    def _mark(self, flow_class: FlowClass) -> None:
        """Note that something about a class changed, to be solved for at the end of the instant."""
        if not flow_class.dirty:
            flow_class.dirty = True
            self._dirty.append(flow_class)
            self.pending = True

    def _begin(self, flow: Flow, route_set: RouteSet, size_bytes: float, bound: float, now_s: float) -> None:
        """Let a class begin: at its cap, if all links that it shares have that much left."""
        partition = self.partition
        if route_set.measured != partition.state:
            partition.measure(route_set)
        flow_class = self._roster.admit(route_set, partition.pairs_of(route_set), bound, now_s)
        flow.place = flow_class
        flow_class.heap.append((size_bytes, flow.number, flow))
        cap = route_set.narrowest
        if bound < cap:
            cap = bound
        flow_class.cap = cap
        if cap == 0.0:
            self._roster.park(flow_class, now_s)
            return
        contended = self._enter(flow_class)
        for bundle, coefficient in contended:
            if bundle.capacity - bundle.load < coefficient * cap:
                flow_class.dirty = True
                self._dirty.append(flow_class)
                self.pending = True
                return
        if route_set.left_s != now_s:
            self.flows_touched += 1
            self._count(now_s)
        finish_s = self._pacer.begin(flow_class, size_bytes, now_s)
        if finish_s < self.next_s:
            self.next_s = finish_s
        for bundle, coefficient in contended:
            bundle.load += coefficient * cap
            if bundle.load >= bundle.nearly_full:
                bundle.watch(now_s)

    def _complete(self, flow_class: FlowClass, now_s: float, done: list[Flow]) -> None:
        """Take the flows with the least target out of a class that has served it."""
        heap = flow_class.heap
        target = heap[0][0]
        service = target - flow_class.served
        if service > 0.0:
            log = self._log
            log += (flow_class.mark, flow_class.since, now_s, flow_class.count * service)
        flow_class.served, flow_class.since = target, now_s
        while heap and heap[0][0] <= target:
            flow = heappop(heap)[2]
            if flow_class.held_s is None and flow.held_before is None:
                flow.end(flow_class.holder_link, now_s)
            else:
                flow.end(flow_class.held_of(flow, now_s), now_s)
            done.append(flow)
        flow_class.count = len(heap)
        if not heap:
            flow_class.served = 0.0
            if flow_class.holder is None and not flow_class.dirty:
                for bundle, _ in flow_class.contended:
                    if bundle.held:
                        break
                else:
                    flow_class.route_set.left_s = now_s
                    self._end(flow_class, now_s)
                    return
        self._mark(flow_class)

    def _end(self, flow_class: FlowClass, now_s: float) -> list[FlowClass]:
        """Take a class without flows off its links; return whom those links hold back."""
        if self._pacer.changed is not None:
            self._pacer.changed.append(flow_class.route_set)
        return self._roster.dismiss(flow_class, now_s)

    # -- solving ------------------------------------------------------------------------

    def _seeds(self, now_s: float) -> tuple[list[FlowClass], list[FlowClass]]:
        """Return the classes that changed, and those that are held back where they did."""
        dirty, self._dirty = self._dirty, []
        touched, self._touched = self._touched, []
        parked = self._roster.parked
        fresh: list[FlowClass] = []
        held: list[FlowClass] = []
        for flow_class in dirty:
            flow_class.dirty = False
            count = flow_class.count
            if count == 0:
                held += self._end(flow_class, now_s)
                continue
            route_set = flow_class.route_set
            if route_set.measured != self.partition.state:
                self.partition.measure(route_set)
            cap, narrowest = flow_class.cap, route_set.narrowest / count
            flow_class.cap = flow_class.bound if flow_class.bound < narrowest else narrowest
            if narrowest == 0.0 or (parked and flow_class in parked):
                self._change_parking(flow_class, now_s, fresh, held)
            elif flow_class.cap == cap and flow_class.total == count * flow_class.rate > 0.0:
                self._pacer.go_on(flow_class, now_s)  # as many came as went: no rate changes
            else:
                flow_class.dirty = True
                fresh.append(flow_class)
        for flow_class in fresh:
            if flow_class.count != flow_class.present:
                recount(flow_class)
            for bundle, _ in flow_class.contended:
                if bundle.held:
                    held += bundle.held
        for bundle in touched:
            held += bundle.held
            if bundle.load > bundle.capacity:
                held += bundle.active
        if held and len(dirty) + len(touched) > 1:
            held = [c for c in held if c.count and (not parked or c not in parked)]
        return fresh, held

    def _change_parking(
        self, flow_class: FlowClass, now_s: float, fresh: list[FlowClass], held: list[FlowClass]
    ) -> None:
        """Let a class wait for a link that is dead now, or go on after that came back."""
        roster = self._roster
        flow_class.settle(now_s, self._log)
        flow_class.settle_holder(now_s)
        if flow_class not in roster.parked:
            held += roster.suspend(flow_class, now_s)
            if self._pacer.changed is not None:
                self._pacer.changed.append(flow_class.route_set)
        elif flow_class.route_set.narrowest == 0.0:
            roster.park(flow_class, now_s)
        else:
            roster.resume(flow_class)
            flow_class.dirty = True
            fresh.append(flow_class)

    def _apply(self, now_s: float) -> None:
        """Give F its rates, and bring level and saturation of the tracked bundles up to date."""
        solver = self._solver
        self._pacer.give(solver.members, now_s)
        for bundle in solver.full:
            bundle.level = bundle.new_level
        for bundle in solver.bundles:
            saturated = bundle.load >= bundle.nearly_full
            if saturated != (bundle.saturated_since != math.inf):
                bundle.watch(now_s)
            if bundle.held:
                bundle.full = True
            else:
                bundle.full = saturated
                bundle.level = math.inf

    def _count(self, now_s: float) -> None:
        if now_s != self._solved_s:
            self._solved_s = now_s
            self.solves += 1

    def _audit(self) -> None:
        """Add up all loads afresh now and then, so that their rounding cannot accumulate."""
        self._audit_at = self.solves + min(256 + len(self.alive), _AUDIT)
        for bundle in {bundle: None for flow_class in self.alive for bundle, _ in flow_class.contended}:
            bundle.add_up()


def _number(flow: Flow) -> int:
    return flow.number
