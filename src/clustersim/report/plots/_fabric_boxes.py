"""What a picture of the fabric draws as one box: rows of boxes, few enough to tell apart."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import networkx as nx

from clustersim.topology import Topology
from clustersim.topology.levels import Levels, levels_of

__all__ = ["Box", "Row", "rows_of"]

Item = TypeVar("Item")

_MOST_IN_ROW = 32
"""Boxes of one row that can be told apart; longer rows are drawn by group."""
_MOST_IN_ROW_WHERE_DENSE = 16
_MOST_PAIRS = 200
"""Pairs of boxes with links between two rows, above which rows are drawn denser."""
_MOST_INSIDE = 80
"""Vertices inside nodes that are drawn one by one."""
_MOST_OPEN_NODES = 6
"""Nodes whose inside is drawn."""
_INSIDE = ("host", "scale-up switch", "GPUs", "PCIe switch", "NICs")
"""Rows of a node whose inside is drawn, the fabric's side last."""


@dataclass(frozen=True)
class Box:
    """Vertices drawn as one.

    Parameters
    ----------
    title
        What to call them.
    content
        How many GPUs or switches are in it, where it stands for several.
    vertices
        Their indices in the topology.
    frame
        The node that it is drawn inside of; empty where nodes are closed.
    """

    title: str
    content: str
    vertices: frozenset[int]
    frame: str = ""


@dataclass(frozen=True)
class Row:
    """Boxes side by side, with the name of their tier."""

    name: str
    boxes: tuple[Box, ...]
    inside: bool = False
    """Whether it is part of nodes that are drawn open."""


def rows_of(topology: Topology, busy: frozenset[int]) -> list[Row]:
    """Return the rows of the picture, from the nodes up.

    The inside of nodes is drawn where they are few; hosts only where they are `busy`. A row
    of more than 32 boxes (16 where many links cross) shows nodes with the same attachments,
    and switches of one pod or with the same neighbours below, as one box.
    """
    levels = levels_of(topology)
    inside = [n for n, node in enumerate(topology.wires.node) if node is not None]
    is_open = len(topology.gpus_by_node) <= _MOST_OPEN_NODES and len(inside) <= _MOST_INSIDE
    rows: list[Row] = []
    for most in (_MOST_IN_ROW, _MOST_IN_ROW_WHERE_DENSE):
        switches = [_switch_row(topology, levels, level, most) for level in range(1, levels.top + 1)]
        nodes = _open_rows(topology, busy) if is_open else [_node_row(topology, switches, most)]
        rows = [*nodes, *switches]
        if _most_pairs(topology, rows) <= _MOST_PAIRS:
            break
    return rows


def _most_pairs(topology: Topology, rows: Sequence[Row]) -> int:
    """The largest number of pairs of boxes that links join between two rows."""
    place = {
        vertex: (r, b)
        for r, row in enumerate(rows)
        for b, box in enumerate(row.boxes)
        for vertex in box.vertices
    }
    pairs = {
        (place[source], place[target])
        for source, target in topology.wires.ends
        if source in place and target in place and place[source] < place[target]
    }
    return max(Counter((low[0], high[0]) for low, high in pairs).values(), default=0)


def _open_rows(topology: Topology, busy: frozenset[int]) -> list[Row]:
    rows: list[list[Box]] = [[] for _ in _INSIDE]
    for vertex, node in enumerate(topology.wires.node):
        place = _place_inside(topology, vertex)
        if node is not None and (place or vertex in busy):
            title = topology.wires.names[vertex].removeprefix(f"{node}/")
            rows[place].append(Box(title, "", frozenset((vertex,)), frame=node))
    named = zip(_INSIDE, rows, strict=True)
    return [Row(name, tuple(boxes), inside=True) for name, boxes in named if boxes]


def _place_inside(topology: Topology, vertex: int) -> int:
    kind = topology.wires.kind[vertex]
    if kind != "switch":
        return {"gpu": 2, "nic": 4}.get(kind, 0)
    beside = {topology.wires.kind[other] for other, _ in topology.wires.out[vertex]}
    return 3 if "nic" in beside or "host" in beside else 1


def _switch_row(topology: Topology, levels: Levels, level: int, most: int) -> Row:
    members = levels.members(level)
    groups = [[vertex] for vertex in members]
    if len(members) > most:
        pods = _pods(topology, levels)
        candidates = (
            _grouped(members, lambda vertex: pods.get(vertex, vertex)),
            _grouped(members, lambda vertex: _below(topology, levels, vertex)),
        )
        groups = _first_short(candidates, most) or _chunks(members, most)
    names = topology.wires.names
    boxes = (
        Box(
            joint_name([names[vertex] for vertex in group]),
            f"{len(group)} switches" if len(group) > 1 else "",
            frozenset(group),
        )
        for group in groups
    )
    return Row(levels.names[level], tuple(boxes))


def _node_row(topology: Topology, switches: Sequence[Row], most: int) -> Row:
    inside: dict[str, set[int]] = defaultdict(set)
    for vertex, node in enumerate(topology.wires.node):
        if node is not None:
            inside[node].add(vertex)
    nodes = list(topology.gpus_by_node)
    groups = [[node] for node in nodes]
    if len(nodes) > most:
        home = {vertex: box for row in switches for box in row.boxes for vertex in box.vertices}
        outside = {node: _outside(topology, vertices) for node, vertices in inside.items()}
        candidates = (
            _grouped(nodes, lambda node: outside[node]),
            _grouped(nodes, lambda node: frozenset(home.get(vertex) for vertex in outside[node])),
        )
        groups = _first_short(candidates, most) or _chunks(nodes, most)
    return Row("nodes", tuple(_node_box(topology, group, inside) for group in groups))


def _node_box(topology: Topology, group: Sequence[str], inside: dict[str, set[int]]) -> Box:
    gpus = sum(len(topology.gpus_by_node[node]) for node in group)
    content = f"{gpus} GPU{'s' if gpus != 1 else ''}"
    return Box(joint_name(group), content, frozenset().union(*(inside[node] for node in group)))


def _outside(topology: Topology, vertices: set[int]) -> frozenset[int]:
    """The vertices of the fabric that a node hangs on."""
    wires = topology.wires
    return frozenset(
        other for vertex in vertices for other, _ in wires.out[vertex] if wires.node[other] is None
    )


def _below(topology: Topology, levels: Levels, vertex: int) -> frozenset[int]:
    own = levels.of[vertex] or 0
    return frozenset(other for other, _ in topology.wires.out[vertex] if (levels.of[other] or 0) < own)


def _pods(topology: Topology, levels: Levels) -> dict[int, int]:
    """Return switch → pod: what hangs together once the top tier is taken away."""
    switches = nx.Graph(
        (source, target)
        for source, target in topology.wires.ends
        if 0 < (levels.of[source] or 0) < levels.top and 0 < (levels.of[target] or 0) < levels.top
    )
    pods = enumerate(nx.connected_components(switches))
    return {vertex: pod for pod, members in pods for vertex in members}


def _grouped(items: Sequence[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    groups: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def _first_short(candidates: Iterable[list[list[Item]]], most: int) -> list[list[Item]] | None:
    """Return the first grouping that is short enough and still tells something apart."""
    return next((found for found in candidates if 1 < len(found) <= most), None)


def _chunks(items: Sequence[Item], most: int) -> list[list[Item]]:
    """Cut a row into as many equal pieces as there is room for, in its own order."""
    size = -(-len(items) // most)
    return [list(items[begin : begin + size]) for begin in range(0, len(items), size)]


def joint_name(names: Sequence[str]) -> str:
    """Return one name for several: `leaf0`, `node0–7`, `core0 …` where they are no series."""
    if len(names) == 1:
        return names[0]
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in (names[0], names[-1])]
    first, last = parts
    if first and last and first[1] == last[1]:
        dash = "–" if int(last[2]) - int(first[2]) == len(names) - 1 else " … "
        return f"{names[0]}{dash}{last[2]}"
    return f"{names[0]} …"
