"""Which vertices a drawing shows together: boxes per tier, few enough to read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import networkx as nx

from clustersim.topology.levels import Levels
from clustersim.topology.network import Topology

__all__ = ["Box", "boxes_of", "cables_between"]

Item = TypeVar("Item")

MOST_BOXES = 12
"""In one row; more would be too narrow for their labels."""
_SHOWN_BEFORE_GAP = 7
_SHOWN_AFTER_GAP = 2


@dataclass
class Box:
    """Vertices (names of nodes in the lowest row) drawn as one."""

    members: list[str]
    is_gap: bool = False
    """Stands for boxes that are left out."""
    vertices: set[int] = field(default_factory=set)

    def title(self, *, wide: bool) -> str:
        """First and last name, or how many are left out."""
        if self.is_gap:
            return f"… {len(self.members)} more …"
        first, last = self.members[0], self.members[-1]
        return first if first == last else f"{first} –{' ' if wide else chr(10)}{last}"


def boxes_of(topology: Topology, levels: Levels) -> list[list[Box]]:
    """Return the rows of a drawing, nodes first, each row at most `MOST_BOXES` long.

    Where a tier has more switches, those of one pod, else those with the same neighbours
    below or above, else those of one group of a dragonfly, are drawn as one box; nodes go
    together with the box that they hang on. The middle of what is still too long is left out.
    """
    switch_rows = [_switch_boxes(topology, levels, level) for level in range(1, levels.top + 1)]
    return [_node_boxes(topology, switch_rows), *switch_rows]


def _switch_boxes(topology: Topology, levels: Levels, level: int) -> list[Box]:
    wires = topology.wires
    members = levels.members(level)
    groups = [[vertex] for vertex in members]
    if len(members) > MOST_BOXES:
        pods = _pods(topology, levels)
        by_pod = _grouped(members, lambda vertex: pods.get(vertex, vertex))
        by_neighbours = _grouped(members, lambda vertex: _below(topology, levels, vertex))
        by_roof = _grouped(members, lambda vertex: _above(topology, levels, vertex))
        by_group = _grouped(members, lambda vertex: _group(topology, vertex))
        shared = [grouping for grouping in (by_roof, by_group) if len(grouping) > 1]
        options = (by_pod, by_neighbours, *shared)
        coarser = [grouping for grouping in options if len(grouping) <= len(members) / 2]
        groups = coarser[0] if coarser else groups
    return _cut([Box([wires.names[vertex] for vertex in group], vertices=set(group)) for group in groups])


def _pods(topology: Topology, levels: Levels) -> dict[int, int]:
    """Return switch → pod: what hangs together once the top tier is taken away."""
    wires = topology.wires
    switches = nx.Graph(
        (source, target)
        for source, target in wires.ends
        if 0 < (levels.of[source] or 0) < levels.top and 0 < (levels.of[target] or 0) < levels.top
    )
    return {
        vertex: pod for pod, members in enumerate(nx.connected_components(switches)) for vertex in members
    }


def _below(topology: Topology, levels: Levels, vertex: int) -> frozenset[str | int]:
    """Return the nodes and switches that a switch joins from below."""
    wires, own = topology.wires, levels.of[vertex] or 0
    beside = (other for other, _ in wires.out[vertex] if (levels.of[other] or 0) < own)
    return frozenset(wires.node[other] or other for other in beside)


def _above(topology: Topology, levels: Levels, vertex: int) -> frozenset[int]:
    """Return the switches that a switch joins from above."""
    own = levels.of[vertex] or 0
    return frozenset(other for other, _ in topology.wires.out[vertex] if (levels.of[other] or 0) > own)


def _group(topology: Topology, vertex: int) -> int:
    """Return the group of a dragonfly that a switch is in; its own number where it is in none."""
    at = topology.graph.nodes[topology.wires.names[vertex]].get("coordinates")
    return vertex if at is None else -1 - int(at[0])


def _node_boxes(topology: Topology, switch_rows: Sequence[Sequence[Box]]) -> list[Box]:
    wires = topology.wires
    inside: dict[str, set[int]] = defaultdict(set)
    for vertex, node in enumerate(wires.node):
        if node is not None:
            inside[node].add(vertex)
    nodes = list(topology.gpus_by_node)
    if len(nodes) <= MOST_BOXES:
        return [Box([node], vertices=inside[node]) for node in nodes]
    switch_boxes = [box for row in switch_rows for box in row]
    home = {wires.names[vertex]: n for n, box in enumerate(switch_boxes) for vertex in box.vertices}
    groups = _grouped(nodes, lambda node: home.get(topology.attachment(node)))
    boxes = [Box(group, vertices=set().union(*(inside[node] for node in group))) for group in groups]
    for box in boxes:
        at = home.get(topology.attachment(box.members[0]))
        box.is_gap = at is not None and switch_boxes[at].is_gap
    return _cut(boxes)


def _grouped(items: Sequence[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    groups: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def _cut(boxes: list[Box]) -> list[Box]:
    """Put the middle of a row that is too long into one box."""
    if len(boxes) <= MOST_BOXES:
        return boxes
    head, gap, tail = (
        boxes[:_SHOWN_BEFORE_GAP],
        boxes[_SHOWN_BEFORE_GAP:-_SHOWN_AFTER_GAP],
        boxes[-_SHOWN_AFTER_GAP:],
    )
    members = [member for box in gap for member in box.members]
    return [*head, Box(members, is_gap=True, vertices=set().union(*(box.vertices for box in gap))), *tail]


def cables_between(topology: Topology, rows: Sequence[Sequence[Box]]) -> Counter[tuple[int, int, int, int]]:
    """Return (row, box, other row, other box) → links between two boxes, upwards or sideways."""
    place = {
        vertex: (r, b) for r, row in enumerate(rows) for b, box in enumerate(row) for vertex in box.vertices
    }
    found: Counter[tuple[int, int, int, int]] = Counter()
    for source, target in topology.wires.ends:
        if source in place and target in place and place[source] < place[target]:
            found[(*place[source], *place[target])] += 1
    return found
