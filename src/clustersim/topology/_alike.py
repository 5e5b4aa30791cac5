"""Nodes that are alike inside: what is found in one holds in all, place by place."""

from __future__ import annotations

from itertools import chain

import numpy as np

from clustersim.topology._wires import Wires

__all__ = ["AlikeNodes", "Place"]

Place = tuple[int, int]
"""The shape of a vertex's node, and the vertex's place among the node's."""


class AlikeNodes:
    """Tells which nodes have one shape, and translates vertices and links between them.

    Two nodes have one shape if, vertex by vertex and link by link in the graph's order, they have the
    same kinds of vertices, the same of these forward and have links to outside, and the same places are
    joined, by scale-up links or others. A search that stays in the node and asks for nothing else then
    ends at the same places in both.

    **Checked by:** tests/topology/test_alike_nodes.py.
    """

    def __init__(self, wires: Wires) -> None:
        ids: dict[str, int] = {}
        homes = [-1 if node is None else ids.setdefault(node, len(ids)) for node in wires.node]
        home = np.array(homes, dtype=np.int64)
        ends = np.fromiter(chain.from_iterable(wires.ends), dtype=np.int64).reshape(-1, 2)
        inside = (home[ends[:, 0]] == home[ends[:, 1]]) & (home[ends[:, 0]] >= 0)
        vertices, first = _by_home(home, len(ids))
        links, first_link = _by_home(np.where(inside, home[ends[:, 0]], -1), len(ids))
        place = np.zeros(len(home), dtype=np.int64)
        place[vertices] = np.arange(len(vertices)) - first[home[vertices]]
        facts = _facts(wires, ends[~inside])[vertices]
        joins = np.column_stack([place[ends[links]], np.array(wires.is_scale_up, dtype=np.int64)[links]])
        shapes: dict[tuple[bytes, bytes], int] = {}
        self.shapes = [
            shapes.setdefault((facts[a:b].tobytes(), joins[c:d].tobytes()), len(shapes))
            for a, b, c, d in zip(first[:-1], first[1:], first_link[:-1], first_link[1:], strict=True)
        ]
        """Shape of each node."""
        self._home = homes
        self._place: list[int] = place.tolist()
        self._vertices, self._first = vertices.tolist(), first.tolist()
        self._links, self._first_link = links.tolist(), first_link.tolist()

    def place(self, vertex: int) -> Place:
        """Return where a vertex of a node stands."""
        return self.shapes[self._home[vertex]], self._place[vertex]

    def places(self, vertices: tuple[int, ...]) -> tuple[int, ...]:
        """Return the places of vertices of a node in it."""
        return tuple(self._place[vertex] for vertex in vertices)

    def vertices(self, beside: int, places: tuple[int, ...]) -> tuple[int, ...]:
        """Return the vertices at some places of the node of the vertex `beside`."""
        first = self._first[self._home[beside]]
        return tuple(self._vertices[first + place] for place in places)

    def link_places(self, beside: int, links: tuple[int, ...]) -> tuple[int, ...]:
        """Return the places of links among those inside the node of the vertex `beside`."""
        start, end = self._first_link[self._home[beside] : self._home[beside] + 2]
        own = self._links[start:end]
        return tuple(own.index(link) for link in links)

    def links(self, beside: int, places: tuple[int, ...]) -> tuple[int, ...]:
        """Return the links at some places inside the node of the vertex `beside`."""
        first = self._first_link[self._home[beside]]
        return tuple(self._links[first + place] for place in places)


def _by_home(home: np.ndarray, homes: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of what has a home, home by home in their order, and where each home's begin."""
    order = np.argsort(home, kind="stable")
    order = order[np.searchsorted(home[order], 0) :]
    return order, np.searchsorted(home[order], np.arange(homes + 1))


def _facts(wires: Wires, outer_ends: np.ndarray) -> np.ndarray:
    """Of each vertex: its kind, and whether it forwards, and has links to and from outside its node."""
    kinds: dict[str, int] = {}
    facts = np.zeros((len(wires.kind), 4), dtype=np.int64)
    facts[:, 0] = [kinds.setdefault(kind, len(kinds)) for kind in wires.kind]
    facts[:, 1] = wires.forwards
    facts[outer_ends[:, 0], 2] = 1
    facts[outer_ends[:, 1], 3] = 1
    return facts
