"""Shortest-path routing with ECMP by a seeded hash.

A path between nodes is made of three parts: inside the source's node to the NIC nearest
to it, over the fabric's switches to the NIC nearest to the target, and inside the
target's node. Where several next hops (parallel links included) are equally near, a hash
of (seed, source, target, connection, hop) picks one. Nothing is computed for all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.errors import CannotRunError
from clustersim.topology._distances import UNREACHED, FabricDistances
from clustersim.topology._inside import Pick, ports, route_inside
from clustersim.topology._wires import Wires

__all__ = ["Router"]

_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    """Scramble 64 bits. **Source:** splitmix64 (Steele, Lea, Flood: OOPSLA 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Router:
    """Finds the links of one connection, path by path, on demand.

    Parameters
    ----------
    wires
        The topology as lists.
    seed
        Of the ECMP hash.
    single_path
        Always the first of equal next hops, in the graph's order.
    """

    def __init__(self, wires: Wires, *, seed: int = 0, single_path: bool = False) -> None:
        self._wires = wires
        self._seed = _mix(seed & _MASK)
        self._single_path = single_path
        self._distances = FabricDistances(wires)
        self._ports: dict[tuple[int, bool], tuple[int, ...]] = {}
        self._place = _places(wires)

    def route(self, source: int, target: int, connection: int) -> tuple[int, ...]:
        """Return the links from one vertex to another.

        Raises
        ------
        CannotRunError
            If no path leads there.
        """
        if source == target:
            return ()
        wires, pick = self._wires, self._picker(source, target, connection)
        if wires.node[source] is not None and wires.node[source] == wires.node[target]:
            inside = route_inside(wires, source, target, pick)
            if inside is not None:
                return tuple(inside)
        for leave in self.ports(source, leaving=True):
            for enter in self.ports(target, leaving=False):
                middle = self._across(leave, enter, pick)
                if middle is not None:
                    before = self._stub(source, leave, pick)
                    after = self._stub(enter, target, pick)
                    return (*before, *middle, *after)
        names = wires.names
        raise CannotRunError(
            f"no path leads from '{names[source]}' to '{names[target]}'; add links between them"
        )

    @property
    def searches(self) -> int:
        """Breadth-first searches so far: at most one per switch that destinations hang on."""
        return self._distances.searches

    def ports(self, vertex: int, *, leaving: bool) -> tuple[int, ...]:
        """Return the vertex's nearest ports to the fabric, the one of its rail first."""
        key = (vertex, leaving)
        found = self._ports.get(key)
        if found is None:
            near = ports(self._wires, vertex, leaving=leaving)
            place, gpus = self._place.get(vertex, (0, 1))
            first = place * len(near) // gpus
            found = self._ports[key] = near[first:] + near[:first]
        return found

    def _stub(self, source: int, target: int, pick: Pick) -> list[int]:
        return [] if source == target else route_inside(self._wires, source, target, pick) or []

    def _across(self, leave: int, enter: int, pick: Pick) -> list[int] | None:
        """Links from a port to another over the fabric, or None."""
        if leave == enter:
            return []
        out = self._wires.out
        direct = [step for step in out[leave] if step[0] == enter]
        if direct:
            return [pick(direct, 0)[1]]
        local, hops = self._distances.local, self._distances.to(self._distances.entries(enter))
        links: list[int] = []
        at = leave
        while local[at] < 0 or hops[local[at]] != 0:
            ahead = _nearest(out[at], local, hops)
            if not ahead:
                return None
            at, link = pick(ahead, len(links))
            links.append(link)
        if at != enter:
            links.append(pick([step for step in out[at] if step[0] == enter], len(links))[1])
        return links

    def _picker(self, source: int, target: int, connection: int) -> Pick:
        key: int | None = None

        def pick(choices: Sequence[tuple[int, int]], hop: int) -> tuple[int, int]:
            nonlocal key
            if len(choices) == 1 or self._single_path:
                return choices[0]
            if key is None:
                key = _mix(_mix(self._seed ^ (source << 32) ^ target) + connection & _MASK)
            return choices[_mix(key + hop & _MASK) % len(choices)]

        return pick


def _nearest(
    steps: Sequence[tuple[int, int]], local: Sequence[int], hops: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the steps into the fabric whose vertex has the fewest hops left."""
    known = [(hops[local[step[0]]], step) for step in steps if local[step[0]] >= 0]
    least = min((left for left, _ in known), default=UNREACHED)
    return [step for left, step in known if left == least < UNREACHED]


def _places(wires: Wires) -> dict[int, tuple[int, int]]:
    """Return for each GPU its index in its node and the node's number of GPUs."""
    by_node: dict[str | None, list[int]] = {}
    for vertex, kind in enumerate(wires.kind):
        if kind == "gpu":
            by_node.setdefault(wires.node[vertex], []).append(vertex)
    return {gpu: (n, len(gpus)) for gpus in by_node.values() for n, gpu in enumerate(gpus)}
