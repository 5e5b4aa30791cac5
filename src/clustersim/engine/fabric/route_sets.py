"""All route sets of a fabric by what they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from clustersim.engine.fabric.route_set import RouteSet
from clustersim.engine.fabric.traffic import DEFAULT_TRAFFIC, TrafficClass
from clustersim.errors import InputError

__all__ = ["RouteSets"]

Links = tuple[int, ...]
Weights = tuple[float, ...]


class RouteSets:
    """Finds the one route set of some links, weights, owner and traffic class, or makes it.

    Parameters
    ----------
    links
        How many links there are.
    make
        Makes and registers a route set of links in ascending order.
    """

    def __init__(self, links: int, make: Callable[[Links, Weights, str, TrafficClass], RouteSet]) -> None:
        self.plain: dict[Links, RouteSet] = {}
        """Those without owner, of one connection served as usual, by their links in ascending order."""
        self._links = links
        self._make = make
        self._ones: dict[int, Weights] = {}
        """The weights of plain route sets, one tuple for all of a length."""
        self._others: dict[tuple[Links, Weights, str, TrafficClass], RouteSet] = {}

    def find(
        self, links: Sequence[int], weights: Sequence[float] | None, owner: str, traffic: TrafficClass
    ) -> RouteSet:
        """Return the route set of these links; the same object for the same arguments.

        Raises
        ------
        InputError
            For an unknown link, a weight that is not positive and finite, or a different
            number of weights than links.
        """
        ordered, summed = _sum_weights(links, weights)
        if not owner and traffic == DEFAULT_TRAFFIC and summed.count(1.0) == len(summed):
            return self.plain.get(ordered) or self.find_plain(ordered)
        key = ordered, summed, owner, traffic
        route_set = self._others.get(key)
        if route_set is None:
            self._others[key] = route_set = self._new(*key)
        return route_set

    def find_plain(self, ordered: Links) -> RouteSet:
        """Make a plain route set that is not in `plain`; a link that occurs again adds its weight."""
        if len(set(ordered)) < len(ordered):
            return self.find(ordered, (1.0,) * len(ordered), "", DEFAULT_TRAFFIC)
        ones = self._ones.get(len(ordered))
        if ones is None:
            ones = self._ones[len(ordered)] = (1.0,) * len(ordered)
        self.plain[ordered] = route_set = self._new(ordered, ones, "", DEFAULT_TRAFFIC)
        return route_set

    def check_link(self, link: int) -> None:
        """Refuse a link that does not exist."""
        if not 0 <= link < self._links:
            raise InputError(f"unknown link {link}; the fabric has links 0 to {self._links - 1}")

    def _new(self, links: Links, weights: Weights, owner: str, traffic: TrafficClass) -> RouteSet:
        if links and not 0 <= links[0] <= links[-1] < self._links:
            self.check_link(links[0])
            self.check_link(links[-1])
        return self._make(links, weights, owner, traffic)


def _sum_weights(links: Sequence[int], weights: Sequence[float] | None) -> tuple[Links, Weights]:
    """Return links in ascending order, each once, and the sum of the weights that it is named with."""
    if weights is None:
        weights = (1.0,) * len(links)
    elif len(weights) != len(links):
        raise InputError(f"got {len(weights)} weights for {len(links)} links; give one each")
    total: dict[int, float] = {}
    for link, weight in zip(links, weights, strict=True):
        if not 0.0 < weight < math.inf:
            raise InputError(f"the weight of link {link} must be positive and finite, got {weight!r}")
        total[link] = total.get(link, 0.0) + float(weight)
    ordered = tuple(sorted(total))
    return ordered, tuple(total[link] for link in ordered)
