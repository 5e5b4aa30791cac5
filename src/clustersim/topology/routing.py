"""Shortest-path routing: which next hops a connection has, and ECMP's choice by a seeded hash.

A path between nodes is made of three parts: inside the source's node to the NIC nearest
to it, over the fabric's switches to the NIC nearest to the target, and inside the
target's node. Where several next hops (parallel links included) are equally near, a hash
of (seed, source, target, connection, hop) picks one. Nothing is computed for all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from clustersim.errors import CannotRunError
from clustersim.topology._adapters import Adapters
from clustersim.topology._alike import Place
from clustersim.topology._distances import FabricDistances, Step
from clustersim.topology._inside import Pick, route_inside
from clustersim.topology._wires import Wires

__all__ = ["Layer", "Router", "Way"]

_MASK = (1 << 64) - 1
_NO_WAY: tuple[int, ...] = ()

Layer = list[tuple[int, Sequence[Step]]]
"""The vertices that a connection may be at after some hops, each with its next steps."""


class Way(NamedTuple):
    """A path but for its hops over the fabric: vertices from the source to the port that it
    leaves by, and from the port that it enters by to the target (none: it stays in the node)."""

    before: tuple[int, ...]
    after: tuple[int, ...]


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
        self._links_between = self._distances.links_between
        self.adapters = Adapters(wires)
        self._inside: dict[tuple[int, int], tuple[int, ...]] = {}
        self._inside_by_place: dict[tuple[Place, Place], tuple[int, ...]] = {}

    @property
    def searches(self) -> int:
        """Breadth-first searches so far: at most one per switch that destinations hang on."""
        return self._distances.searches

    def route(self, source: int, target: int, connection: int) -> tuple[int, ...]:
        """Return the links from one vertex to another.

        Raises
        ------
        CannotRunError
            If no path leads there.
        """
        if source == target:
            return ()
        pick = self.picker(source, target, connection)
        nearest = self._over_nearest_ports(source, target, pick)
        if nearest is not None:
            return nearest
        way = self.way(source, target)
        if not way.after:
            return self.inside(way.before, pick)
        middle = self._across(way.before[-1], way.after[0], pick) or ()
        return (*self.inside(way.before, pick), *middle, *self.inside(way.after, pick))

    def _over_nearest_ports(self, source: int, target: int, pick: Pick) -> tuple[int, ...] | None:
        """Links between nodes by the first port of each end, which `way` tries first; else None."""
        if self.share_a_node(source, target):
            return None
        ports = self.adapters.of
        leaving, entering = ports(source, leaving=True), ports(target, leaving=False)
        middle = self._across(leaving[0], entering[0], pick) if leaving and entering else None
        if middle is None:
            return None
        return (*self._stub(source, leaving[0], pick), *middle, *self._stub(entering[0], target, pick))

    def way(self, source: int, target: int) -> Way:
        """Return where connections from one vertex to another leave and enter their nodes.

        Raises
        ------
        CannotRunError
            If no path leads there.
        """
        wires, adapters = self._wires, self.adapters
        if self.share_a_node(source, target) and self._stub(source, target, _first):
            return Way((source, target), ())
        for leave in adapters.of(source, leaving=True):
            for enter in adapters.of(target, leaving=False):
                if self._joined(leave, enter):
                    return Way((source, leave), (enter, target))
        for before, after in adapters.relayed(source, target):
            if self._joined(before[-1], after[0]):
                return Way(before, after)
        names = wires.names
        raise CannotRunError(
            f"no path leads from '{names[source]}' to '{names[target]}'; add links between them"
        )

    def share_a_node(self, source: int, target: int) -> bool:
        """Whether both are of one node that they need not leave, since they do not forward themselves."""
        wires = self._wires
        node = wires.node[source]
        if node is None or node != wires.node[target]:
            return False
        return not (wires.in_fabric[source] and wires.in_fabric[target])

    def inside(self, vertices: tuple[int, ...], pick: Pick) -> tuple[int, ...]:
        """Return the links of a path inside one node that passes these vertices."""
        if len(vertices) == 2:
            return self._stub(*vertices, pick)
        return tuple(link for ends in pairwise(vertices) for link in self._stub(*ends, pick))

    def layers(self, leave: int, enter: int) -> list[Layer]:
        """Return every shortest path over the fabric from one port to another, hop by hop."""
        layers: list[Layer] = []
        frontier = [leave]
        while frontier != [enter]:
            layer: Layer = [(at, self._steps(at, enter, first=not layers)) for at in frontier]
            layers.append(layer)
            frontier = list(dict.fromkeys(other for _, steps in layer for other, _ in steps))
        return layers

    def picker(self, source: int, target: int, connection: int) -> Pick:
        """Return what chooses among equal steps for one connection, by its hash."""
        if self._single_path:
            return _first
        key: int | None = None

        def pick(choices: Sequence[Step], hop: int) -> Step:
            nonlocal key
            if len(choices) == 1:
                return choices[0]
            if key is None:
                key = _mix(_mix(self._seed ^ (source << 32) ^ target) + connection & _MASK)
            return choices[_mix(key + hop & _MASK) % len(choices)]

        return pick

    def _stub(self, source: int, target: int, pick: Pick) -> tuple[int, ...]:
        """Links between two vertices of a node; looked for once in all nodes alike if none is chosen."""
        if source == target:
            return ()
        kept = self._inside.get((source, target))
        if kept is not None:
            return kept
        alike = self.adapters.alike
        places = alike.place(source), alike.place(target)
        known = self._inside_by_place.get(places)
        if known is not None:
            found = self._inside[source, target] = alike.links(source, known)
            return found
        found, chosen = self._search_inside(source, target, pick)
        if not chosen:
            self._inside[source, target] = found
            self._inside_by_place[places] = alike.link_places(source, found)
        return found

    def _search_inside(self, source: int, target: int, pick: Pick) -> tuple[tuple[int, ...], bool]:
        """Links between two vertices of a node, and whether one of several equal steps was chosen."""
        chosen = False

        def noting(choices: Sequence[Step], hop: int) -> Step:
            nonlocal chosen
            chosen = chosen or len(choices) > 1
            return pick(choices, hop)

        return tuple(route_inside(self._wires, source, target, noting) or _NO_WAY), chosen

    def _joined(self, leave: int, enter: int) -> bool:
        """Whether the fabric leads from one port to another."""
        return leave == enter or bool(self._steps(leave, enter, first=True))

    def _steps(self, at: int, enter: int, *, first: bool) -> Sequence[Step]:
        """Next steps towards a port; two ports that are cabled to each other need no switch."""
        if first:
            direct = self._links_between(at, enter)
            if direct:
                return direct
        toward = self._distances.toward(self._distances.entries(enter))
        return self._links_between(at, enter) if at in toward.entries else toward.steps(at)

    def _across(self, leave: int, enter: int, pick: Pick) -> list[int] | None:
        """Links from a port to another over the fabric; None if no way leads there."""
        if leave == enter:
            return []
        direct = self._links_between(leave, enter)
        if direct:
            return [pick(direct, 0)[1]]
        toward = self._distances.toward(self._distances.entries(enter))
        links: list[int] = []
        at, entries = leave, toward.entries
        while at not in entries:
            steps = toward.steps(at)
            if not steps:
                return None
            at, link = steps[0] if len(steps) == 1 else pick(steps, len(links))
            links.append(link)
        if at != enter:
            links.append(pick(self._links_between(at, enter), len(links))[1])
        return links


def _first(choices: Sequence[Step], hop: int) -> Step:
    return choices[0]
