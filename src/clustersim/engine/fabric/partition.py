"""All links of a fabric, grouped into bundles by partition refinement.

Links that carry exactly the same route sets in the same proportions form one constraint:
only the tightest of them can fill up. They are kept as one `Bundle`, and a bundle is split
when a new route set uses some of its links, or uses them in other proportions. The rates
are the same as with every link on its own; a ring over 1,024 GPUs that shares nothing costs
as much as one link.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from clustersim.engine.fabric.bundle import NO_ROUTE_SETS, Bundle
from clustersim.engine.fabric.route_set import NO_PAIRS
from clustersim.engine.fabric.sharing import FULL

if TYPE_CHECKING:
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["Partition"]


class Partition:
    """All links of a fabric, grouped into bundles.

    Parameters
    ----------
    capacities
        Bytes/s of each link.
    merge_from
        Links that a route set is the first to use are merged if there are at least so
        many; merging a few costs more than it saves.
    """

    def __init__(self, capacities: Sequence[float], *, merge_from: int) -> None:
        self.capacities = list(capacities)
        self.state = 0
        """Counts the changes of capacity; what was measured before is out of date."""
        self.altered: set[int] = set()
        """Links whose capacity was changed: closed forms made for the one before do not hold."""
        self.merge_from = merge_from
        self.bundles: list[Bundle] = []
        self.bundle_of: list[Bundle | None] = [None] * len(self.capacities)
        self._single: list[Any] = [None] * len(self.capacities)
        """Where a link is a bundle of its own for good: that, and 1; else None."""
        self._single_at = self._single.__getitem__
        self._plain: list[Any] = [None] * len(self.capacities)
        """The same where strangers share it, so that one more changes nothing."""
        self._plain_at = self._plain.__getitem__
        self._capacity_of = self.capacities.__getitem__
        self.saturated_s = [0.0] * len(self.capacities)
        """Seconds credited to links so far; those of their bundle come on top."""
        self.first_saturated_s = [math.inf] * len(self.capacities)
        self.last_saturated_s = [-math.inf] * len(self.capacities)

    def register(self, route_set: RouteSet, now_s: float) -> list[Bundle]:
        """Give `route_set` its bundles; return those with flows that were split on the way."""
        links = route_set.links
        changed: list[Bundle] = []
        if route_set.uniform and None not in map(self._plain_at, links):
            route_set.private = False
        else:
            self._take_up(route_set, now_s, changed)
            if route_set.uniform and None not in map(self._single_at, links):
                route_set.pairs = NO_PAIRS
        if self.altered and not self.altered.isdisjoint(links):
            route_set.lose_privacy()
        self.measure(route_set)
        return changed

    def pairs_of(self, route_set: RouteSet) -> list[tuple[Bundle, float]]:
        """Return the bundles of a route set, with its coefficient on each."""
        return route_set.pairs or list(map(self._single_at, route_set.links))

    def measure(self, route_set: RouteSet) -> None:
        """Find the narrowest link of a route set."""
        route_set.measured = self.state
        links = route_set.links
        room = list(map(self._capacity_of, links))
        if not route_set.uniform:
            weights = route_set.coefficients
            room = [capacity / weight for capacity, weight in zip(room, weights, strict=True)]
        if room:
            route_set.narrowest = narrowest = min(room)
            route_set.narrowest_link = links[room.index(narrowest)]

    def set_capacity(self, link: int, bytes_per_s: float, now_s: float) -> Bundle | None:
        """Change a link; return its bundle if route sets use it."""
        bundle = self.bundle_of[link]
        if bytes_per_s != self.capacities[link]:
            self.altered.add(link)
            for route_set in list(bundle.route_sets) if bundle is not None else ():
                route_set.lose_privacy()
        if bundle is not None:
            self._credit_all(bundle, now_s)
        self.capacities[link] = bytes_per_s
        self.state += 1
        if bundle is not None:
            self._find_tightest(bundle)
        return bundle

    def isolate(self, link: int, now_s: float) -> list[Bundle]:
        """Give a link a bundle of its own; return that and what it was split off, if flows are on them.

        For links whose capacity changes all the time: what that costs grows with the members.
        """
        bundle = self.bundle_of[link]
        if bundle is None or bundle.single:
            return []
        part = self._split(bundle, [link], now_s)
        return [part, bundle] if bundle.active else []

    def saturation(self, now_s: float) -> tuple[list[float], list[float], list[float]]:
        """Return seconds saturated, first and last saturated time of every link up to `now_s`."""
        seconds, first, last = (
            list(self.saturated_s),
            list(self.first_saturated_s),
            list(self.last_saturated_s),
        )
        for bundle in self.bundles:
            running = now_s - bundle.saturated_since
            if bundle.saturated_s == 0.0 and running <= 0.0:
                continue
            for link in self._tight(bundle):
                seconds[link] += bundle.saturated_s + max(running, 0.0)
                first[link] = min(first[link], bundle.first_saturated_s, bundle.saturated_since)
                last[link] = max(last[link], now_s if running > 0.0 else bundle.last_saturated_s)
        return seconds, first, last

    def _take_up(self, route_set: RouteSet, now_s: float, changed: list[Bundle]) -> None:
        """Attach a route set link by link: to bundles that are new, whole or to be split."""
        fresh: dict[int, float] = {}
        used: dict[Bundle, dict[float, list[int]]] = {}
        bundle_of, plain = self.bundle_of, self._plain
        route_set.pairs = pairs = []
        for link, weight in zip(route_set.links, route_set.coefficients, strict=True):
            bundle = bundle_of[link]
            if bundle is None:
                fresh[link] = weight
            elif plain[link] is not None:
                pairs.append(plain[link] if weight == 1.0 else (bundle, weight))
                route_set.private = False
            elif bundle.merged is None or len(bundle.merged) == 1:
                pair = self._single[link] if weight == 1.0 else None
                self._attach(route_set, pair or (bundle, weight / bundle.scale(link)))
            else:
                ratio = weight / bundle.scale(link)
                used.setdefault(bundle, {}).setdefault(ratio, []).append(link)
        if len(fresh) >= max(2, self.merge_from):
            self._attach(route_set, (self._new_bundle(fresh, route_set.owner), 1.0))
        else:
            for link, weight in fresh.items():
                bundle = Bundle(len(self.bundles), route_set.owner, None, self.capacities[link], link)
                self.bundles.append(bundle)
                bundle_of[link] = bundle
                bundle.route_sets = {route_set: weight}
                self._single[link] = pair = (bundle, 1.0)
                pairs.append(pair if weight == 1.0 else (bundle, weight))
        for bundle, groups in used.items():
            for part, ratio in self._refine(bundle, groups, now_s, changed):
                self._attach(route_set, (part, ratio))

    def _new_bundle(self, members: dict[int, float], owner: str) -> Bundle:
        bundle = Bundle(len(self.bundles), owner, members, math.inf, -1)
        self.bundles.append(bundle)
        for link in members:
            self.bundle_of[link] = bundle
        self._find_tightest(bundle)
        return bundle

    def _find_tightest(self, bundle: Bundle) -> None:
        capacities = self.capacities
        bundle.capacity = math.inf
        for link, scale in bundle.members.items():
            value = capacities[link] / scale
            if value < bundle.capacity:
                bundle.capacity, bundle.tightest = value, link
        bundle.nearly_full = bundle.capacity * (1.0 - FULL)

    def _attach(self, route_set: RouteSet, pair: tuple[Bundle, float]) -> None:
        bundle, coefficient = pair
        route_set.pairs.append(pair)
        if bundle.route_sets and not bundle.shared:
            bundle.shared = bundle.owner != route_set.owner or not route_set.owner
            if bundle.shared:
                for other in list(bundle.route_sets):
                    other.lose_privacy()
        if bundle.shared:
            route_set.private = False
            if bundle.single:
                bundle.route_sets = NO_ROUTE_SETS  # it can neither split nor become shared any more
                if bundle.scale(bundle.tightest) == 1.0:
                    link = bundle.tightest
                    self._plain[link] = self._single[link] = self._single[link] or (bundle, 1.0)
                return
        if bundle.route_sets is NO_ROUTE_SETS:
            bundle.route_sets = {}
        bundle.route_sets[route_set] = coefficient

    def _refine(
        self, bundle: Bundle, groups: dict[float, list[int]], now_s: float, changed: list[Bundle]
    ) -> Iterator[tuple[Bundle, float]]:
        """Split `bundle` by the proportions in which a new route set uses it."""
        untouched = len(bundle.members) - sum(map(len, groups.values()))
        ratios = list(groups)
        rest = ratios.pop() if untouched == 0 else None
        for ratio in ratios:
            part = self._split(bundle, groups[ratio], now_s)
            if bundle.active:
                changed += (part, bundle)
            yield part, ratio
        if rest is not None:
            yield bundle, rest

    def _split(self, bundle: Bundle, links: list[int], now_s: float) -> Bundle:
        """Move `links` out of `bundle` into a new one that carries the same flows."""
        running = now_s - bundle.saturated_since
        bundle.close(now_s)
        self._credit(bundle, links)
        members = bundle.members
        part = self._new_bundle({link: members.pop(link) for link in links}, bundle.owner)
        part.shared = bundle.shared
        part.load, part.width, part.full = bundle.load, bundle.width, bundle.full
        part.active = dict(bundle.active)
        part.route_sets = dict(bundle.route_sets)
        for route_set, coefficient in part.route_sets.items():
            route_set.pairs.append((part, coefficient))
        if bundle.tightest in part.members:
            self._retighten(bundle)
        if running >= 0.0:
            bundle.watch(now_s)
            part.watch(now_s)
        return part

    def _retighten(self, bundle: Bundle) -> None:
        """Find the tightest link after some left; stop at one that is as tight as the old."""
        capacities, old = self.capacities, bundle.capacity
        for link, scale in bundle.members.items():
            if capacities[link] / scale <= old:
                bundle.tightest = link
                return
        self._credit(bundle, bundle.members)
        self._reset(bundle)
        self._find_tightest(bundle)

    def _credit_all(self, bundle: Bundle, now_s: float) -> None:
        bundle.close(now_s)
        self._credit(bundle, self._tight(bundle))
        self._reset(bundle)

    def _credit(self, bundle: Bundle, links: Iterable[int]) -> None:
        """Book the saturated time of `bundle` on those of `links` that were tight."""
        if bundle.saturated_s == 0.0:
            return
        for link in links:
            if self._is_tight(bundle, link):
                self.saturated_s[link] += bundle.saturated_s
                self.first_saturated_s[link] = min(self.first_saturated_s[link], bundle.first_saturated_s)
                self.last_saturated_s[link] = max(self.last_saturated_s[link], bundle.last_saturated_s)

    @staticmethod
    def _reset(bundle: Bundle) -> None:
        bundle.saturated_s = 0.0
        bundle.first_saturated_s, bundle.last_saturated_s = math.inf, -math.inf

    def _tight(self, bundle: Bundle) -> list[int]:
        return [link for link in bundle.members if self._is_tight(bundle, link)]

    def _is_tight(self, bundle: Bundle, link: int) -> bool:
        return self.capacities[link] / bundle.scale(link) <= bundle.capacity * (1.0 + FULL)
