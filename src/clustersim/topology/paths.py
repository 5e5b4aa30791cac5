"""The path of a transfer: which links it loads with how much of its bytes, under each way of routing.

*Equation.* A transfer of S bytes over n connections puts S·w_l bytes on link l. With one connection
on one path, w_l = 1 on its links. With n connections, each on a path of its own, w_l = n_l / n for
n_l connections on l. Sprayed, w_l = Σ over the vertices that a packet may be at of (fraction of the
packets there) / (number of equally near next links). In the fluid's terms it is one flow of S/n
bytes whose consumption of link l is n·w_l: links are shared per connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from clustersim.topology._adaptive import least_used
from clustersim.topology._spray import longest_s, sprayed
from clustersim.topology.routing import Router

__all__ = ["LinkUse", "Path", "PathFinder", "Routing"]

Routing = Literal["ecmp", "single-path", "spray", "adaptive"]

LinkUse = Callable[[int], float]
"""How much a link is used already, in connections of its full capacity."""


class Path(NamedTuple):
    """What a transfer from one vertex to another uses.

    Parameters
    ----------
    links
        Indices of the links, each once; of one part in the order in which they are passed.
    weights
        Bytes on that link per byte of the transfer: 1 on a single path, fractions elsewhere.
    connections
        Transport connections that it consists of.
    latency_s
        Sum of the links' latencies, on the longest of its parts.
    """

    links: tuple[int, ...]
    weights: tuple[float, ...]
    connections: int
    latency_s: float

    @property
    def plain(self) -> bool:
        """Whether it is one connection that all bytes take, so that every link has the weight 1."""
        return self.connections == 1 and self.weights.count(1.0) == len(self.weights)

    @property
    def flow_weights(self) -> tuple[float, ...]:
        """Consumption of each link per byte/s of one connection, for `Fabric.route_set`."""
        if self.connections == 1:
            return self.weights
        return tuple(self.connections * weight for weight in self.weights)


class PathFinder:
    """Finds paths under one way of routing.

    Parameters
    ----------
    router
        Knows the equally near next hops.
    latency_s, capacity
        Of each link; capacity in units of the widest link.
    routing
        See `clustersim.spec.cluster.FabricSpec`.
    connections
        Per pair of endpoints in different nodes.
    """

    def __init__(
        self,
        router: Router,
        *,
        latency_s: Sequence[float],
        capacity: Sequence[float],
        routing: Routing,
        connections: int,
    ) -> None:
        self._router = router
        self._latency_s = latency_s
        self._capacity = capacity
        self._routing = routing
        self._connections = connections
        self._laid: dict[tuple[int, int, int], tuple[int, ...]] = {}
        self._committed: dict[int, int] = {}

    def path(self, source: int, target: int, connection: int) -> Path:
        """Return the path of a lasting connection; under adaptive routing it is laid on the first call.

        Raises
        ------
        CannotRunError
            If no path leads there.
        """
        numbers = self._numbers(source, target, connection)
        if self._routing == "spray":
            return self._sprayed(source, target, numbers)
        find = self._lay if self._routing == "adaptive" else self._router.route
        return self._joined([find(source, target, number) for number in numbers])

    def route(self, source: int, target: int, connection: int) -> tuple[int, ...]:
        """Return the links that the first transport connection takes by its hash."""
        return self._router.route(source, target, self._numbers(source, target, connection)[0])

    def momentary(self, source: int, target: int, connection: int, use: LinkUse) -> Path:
        """Return the path whose links are least used now, without laying a connection."""
        own: dict[int, int] = {}
        parts = []
        for number in self._numbers(source, target, connection):
            part = self._choose(source, target, number, lambda link: use(link) + own.get(link, 0))
            for link in part:
                own[link] = own.get(link, 0) + 1
            parts.append(part)
        return self._joined(parts)

    def _numbers(self, source: int, target: int, connection: int) -> range:
        """Numbers of a pair's transport connections for the hash; one where no adapter is crossed."""
        count = 1 if self._router.share_a_node(source, target) else self._connections
        return range(connection * count, (connection + 1) * count)

    def _lay(self, source: int, target: int, number: int) -> tuple[int, ...]:
        """Links of a connection, chosen on its first call and committed from then on."""
        found = self._laid.get((source, target, number))
        if found is None:
            committed, capacity = self._committed, self._capacity
            found = self._choose(source, target, number, lambda link: committed.get(link, 0) / capacity[link])
            for link in found:
                committed[link] = committed.get(link, 0) + 1
            self._laid[source, target, number] = found
        return found

    def _choose(self, source: int, target: int, number: int, use: LinkUse) -> tuple[int, ...]:
        if source == target:
            return ()
        router = self._router
        way, pick = router.way(source, target), router.picker(source, target, number)
        if not way.after:
            return router.inside(way.before, pick)
        leave, enter = way.before[-1], way.after[0]
        middle = least_used(router.layers(leave, enter), leave, use, pick)
        return (*router.inside(way.before, pick), *middle, *router.inside(way.after, pick))

    def _sprayed(self, source: int, target: int, numbers: range) -> Path:
        if source == target:
            return self._joined([()])
        router = self._router
        way, pick = router.way(source, target), router.picker(source, target, numbers[0])
        before, after = router.inside(way.before, pick), router.inside(way.after, pick)
        layers = router.layers(way.before[-1], way.after[0]) if way.after else []
        middle = sprayed(layers, way.before[-1])
        latency_s = self._sum_s(before) + longest_s(layers, self._latency_s) + self._sum_s(after)
        weights = (*(1.0 for _ in before), *middle.values(), *(1.0 for _ in after))
        return Path((*before, *middle, *after), weights, len(numbers), latency_s)

    def _joined(self, parts: Sequence[tuple[int, ...]]) -> Path:
        """One path of parts that carry equal bytes."""
        latency_s = max(map(self._sum_s, parts))
        if len(parts) == 1:
            return Path(parts[0], (1.0,) * len(parts[0]), 1, latency_s)
        crossing: dict[int, int] = {}
        for part in parts:
            for link in part:
                crossing[link] = crossing.get(link, 0) + 1
        weights = tuple(number / len(parts) for number in crossing.values())
        return Path(tuple(crossing), weights, len(parts), latency_s)

    def _sum_s(self, links: Sequence[int]) -> float:
        return sum(map(self._latency_s.__getitem__, links), 0.0)
