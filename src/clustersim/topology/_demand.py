"""Uniform traffic among all GPUs as traffic between the ports of nodes that are alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.topology._wires import Wires
from clustersim.topology.routing import Router

__all__ = ["Demand", "NodeKind"]

Rates = NDArray[np.float64]
_FORKS = 12
"""Ways through a node are averaged over so many choices: exact for 1, 2, 3, 4, 6 and 12 equal ones."""


@dataclass(frozen=True)
class NodeKind:
    """Nodes that are wired alike, inside and to the same parts of the fabric.

    Parameters
    ----------
    nodes
        For each node its vertices, in the same order.
    gpus, ports
        Positions among these of the GPUs, and of the vertices with a link to outside; chips that
        forward are ports in any case.
    """

    nodes: tuple[tuple[int, ...], ...]
    gpus: tuple[int, ...]
    ports: tuple[int, ...]

    def gpu(self, node: int, place: int) -> int:
        """Return a GPU of one of the nodes."""
        return self.nodes[node][self.gpus[place]]


class Demand:
    """One unit from every GPU to every other, by the cluster's own ways out of and into nodes.

    *Equation.* Between two nodes of kinds a and b, C_ab[p, q] units leave by port p and enter by
    port q; inside a node, S_a[p, q] leave and come back. The kinds are few, so the sums over
    GPUs become sums over kinds.

    Parameters
    ----------
    first_only
        Take the first of equally short ways through a node only, in the graph's order.

    **Valid when** nodes that are wired alike route alike, as they do.
    """

    def __init__(self, wires: Wires, *, first_only: bool) -> None:
        self._forks = 1 if first_only else _FORKS
        self._router = Router(wires)
        self.kinds = _node_kinds(wires)
        self.gpus = sum(len(kind.nodes) * len(kind.gpus) for kind in self.kinds)
        self.inside: dict[int, float] = defaultdict(float)
        """Load of the links in the first node of each kind."""
        self.between: dict[tuple[int, int], Rates] = {}
        self.returning: list[Rates] = []
        for a, kind in enumerate(self.kinds):
            self.returning.append(self._within(kind))
            for b in range(len(self.kinds)):
                self._across(a, b)

    def _across(self, a: int, b: int) -> None:
        """Find C_ab, and load the links in the first nodes of both kinds."""
        kind, other = self.kinds[a], self.kinds[b]
        units = np.zeros((len(kind.ports), len(other.ports)))
        self.between[a, b] = units
        second = 1 if a == b else 0
        if second == len(other.nodes):
            return
        times_out = len(other.nodes) - second
        times_in = len(kind.nodes) - second
        for source, target in _pairs(kind, 0, other, second):
            way = self._router.way(source, target)
            leave, enter = kind.nodes[0].index(way.before[-1]), other.nodes[second].index(way.after[0])
            units[kind.ports.index(leave), other.ports.index(enter)] += 1.0
            self._load(way.before, times_out)
            home = dict(zip(other.nodes[second], other.nodes[0], strict=True))
            self._load(tuple(home[vertex] for vertex in way.after), times_in)

    def _within(self, kind: NodeKind) -> Rates:
        """Find S, and load the links of the first node with what stays in it."""
        units = np.zeros((len(kind.ports), len(kind.ports)))
        for source, target in _pairs(kind, 0, kind, 0):
            if source == target:
                continue
            way = self._router.way(source, target)
            self._load(way.before, 1.0)
            if way.after:
                leave, enter = kind.nodes[0].index(way.before[-1]), kind.nodes[0].index(way.after[0])
                units[kind.ports.index(leave), kind.ports.index(enter)] += 1.0
                self._load(way.after, 1.0)
        return units

    def _load(self, vertices: tuple[int, ...], units: float) -> None:
        """Put units on the links of a path inside a node, evenly where there are several."""
        forked = False
        for turn in range(self._forks):

            def pick(choices: Sequence[tuple[int, int]], hop: int, turn: int = turn) -> tuple[int, int]:
                nonlocal forked
                forked = forked or len(choices) > 1
                return choices[turn % len(choices)]

            links = self._router.inside(vertices, pick)
            share = units / self._forks if forked else units
            for link in links:
                self.inside[link] += share
            if not forked:
                return


def _pairs(kind: NodeKind, node: int, other: NodeKind, second: int) -> Iterator[tuple[int, int]]:
    for i in range(len(kind.gpus)):
        for j in range(len(other.gpus)):
            yield kind.gpu(node, i), other.gpu(second, j)


def _node_kinds(wires: Wires) -> list[NodeKind]:
    """Group the nodes by what is in them, how it is joined, and which part of the fabric it reaches."""
    members: dict[str, list[int]] = defaultdict(list)
    for vertex, node in enumerate(wires.node):
        if node is not None:
            members[node].append(vertex)
    part = _parts(wires)
    kinds: dict[object, list[tuple[int, ...]]] = defaultdict(list)
    for vertices in members.values():
        if any(wires.kind[vertex] == "gpu" for vertex in vertices):
            kinds[_signature(wires, vertices, part)].append(tuple(vertices))
    return [_kind(wires, nodes) for nodes in kinds.values()]


def _signature(wires: Wires, vertices: list[int], part: dict[int, int]) -> object:
    position = {vertex: n for n, vertex in enumerate(vertices)}
    joined = sorted(
        (position[vertex], position.get(other, -1 - part.get(other, 0)), wires.is_scale_up[link])
        for vertex in vertices
        for other, link in wires.out[vertex]
    )
    return tuple(wires.kind[vertex] for vertex in vertices), tuple(joined)


def _kind(wires: Wires, nodes: list[tuple[int, ...]]) -> NodeKind:
    first = nodes[0]
    inside = set(first)
    return NodeKind(
        nodes=tuple(nodes),
        gpus=tuple(n for n, vertex in enumerate(first) if wires.kind[vertex] == "gpu"),
        ports=tuple(
            n
            for n, vertex in enumerate(first)
            if wires.in_fabric[vertex]
            or any(other not in inside for other, _ in (*wires.out[vertex], *wires.into[vertex]))
        ),
    )


def _parts(wires: Wires) -> dict[int, int]:
    """Number what hangs together outside the nodes: a vertex of the fabric or a port → its part."""
    part: dict[int, int] = {}
    for start in range(len(wires.node)):
        if start in part or (wires.node[start] is not None and not _is_port(wires, start)):
            continue
        part[start] = start
        frontier = [start]
        while frontier:
            vertex = frontier.pop()
            for other, _ in (*wires.out[vertex], *wires.into[vertex]):
                outside = wires.node[vertex] is None or wires.node[vertex] != wires.node[other]
                if outside and other not in part:
                    part[other] = start
                    frontier.append(other)
    return part


def _is_port(wires: Wires, vertex: int) -> bool:
    return any(wires.node[other] != wires.node[vertex] for other, _ in wires.out[vertex])
