"""Grids and rings of switches or chips: where they stand when there are no tiers to show."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.report.plots._fabric_boxes import Box, joint_name
from clustersim.report.plots._fabric_places import HIGHEST, LEFT, RIGHT, Layout, Place, short_labels
from clustersim.topology import Topology
from clustersim.topology.levels import levels_of

__all__ = ["without_tiers"]

Coordinates = tuple[int, ...]

_MOST_BOXES = 300
"""Places of a grid that are drawn one by one; of more, those that differ in the last dimension
only are drawn as one."""
_DEPTH = 0.82
"""Part of a grid's pitch over which a third dimension is spread."""
_RING_HEIGHT = 6.6
_GROUP_GAP = 0.8
"""Between groups on a ring, in places."""


def without_tiers(topology: Topology) -> Layout | None:
    """Return a layout for a fabric whose switches, or chips, are all of one tier and joined to each other.

    Those with coordinates in a grid stand by them, three dimensions in slanted projection; others
    on a ring, groups apart. Nodes are part of the box of their switch. None where there are tiers.
    """
    grid = topology.dimensions is not None
    centres = _centres(topology)
    if len(centres) < 2 or not (grid or _peers(topology, centres)):
        return None
    at = {centre: _coordinates(topology, centre) or (number,) for number, centre in enumerate(centres)}
    members = _members(topology, centres)
    by_place: dict[Coordinates, list[int]] = defaultdict(list)
    depth = _kept_dimensions(list(at.values())) if grid else None
    for centre in centres:
        by_place[at[centre][:depth]].append(centre)
    boxes = {place: _box(topology, place, inside, members) for place, inside in sorted(by_place.items())}
    sizes = tuple(max(axis) + 1 for axis in zip(*boxes, strict=True))
    if grid and len(sizes) > 1:
        return _on_grid(boxes, sizes)
    return _on_ring(boxes)


def _centres(topology: Topology) -> list[int]:
    """The switches of the one tier; chips with coordinates where there are no switches."""
    levels = levels_of(topology)
    if levels.top == 1:
        return levels.members(1)
    if levels.top == 0:
        return [
            n for n, kind in enumerate(topology.wires.kind) if kind == "gpu" and _coordinates(topology, n)
        ]
    return []


def _coordinates(topology: Topology, vertex: int) -> Coordinates | None:
    found = topology.graph.nodes[topology.wires.names[vertex]].get("coordinates")
    return None if found is None else tuple(found)


def _peers(topology: Topology, centres: Sequence[int]) -> bool:
    chosen = set(centres)
    return any(source in chosen and target in chosen for source, target in topology.wires.ends)


def _members(topology: Topology, centres: Sequence[int]) -> dict[int, set[int]]:
    """Return the vertices of the nodes that hang on each switch; a chip stands for itself."""
    wires = topology.wires
    members = {centre: {centre} for centre in centres}
    if wires.kind[centres[0]] != "switch":
        return members
    inside: dict[str, set[int]] = defaultdict(set)
    for vertex, node in enumerate(wires.node):
        if node is not None:
            inside[node].add(vertex)
    number = {wires.names[centre]: centre for centre in centres}
    for node, vertices in inside.items():
        home = number.get(topology.attachment(node))
        if home is not None:
            members[home] |= vertices
    return members


def _kept_dimensions(places: Sequence[Coordinates]) -> int:
    """Return how many dimensions are told apart, so that the places are few enough."""
    dimensions = len(places[0])
    while dimensions > 2 and len({place[:dimensions] for place in places}) > _MOST_BOXES:
        dimensions -= 1
    return dimensions


def _box(
    topology: Topology, place: Coordinates, centres: Sequence[int], members: Mapping[int, set[int]]
) -> Box:
    vertices = frozenset().union(*(members[centre] for centre in centres))
    gpus = sum(topology.wires.kind[vertex] == "gpu" for vertex in vertices)
    content = f"{gpus} GPUs" if gpus > 1 else ""
    title = joint_name([topology.wires.names[centre] for centre in centres])
    if topology.wires.kind[centres[0]] != "switch":  # chips are known by their coordinates
        title = ".".join(map(str, place)) + (".*" if len(centres) > 1 else "")
    return Box(title, content, vertices)


def _on_grid(boxes: Mapping[Coordinates, Box], sizes: Coordinates) -> Layout:
    columns, rows, layers = _axes(sizes)
    pitch_x = (RIGHT - LEFT) / columns
    pitch_y = min(max(1.15, 0.52 * pitch_x), HIGHEST / rows)
    step = (_DEPTH * pitch_x / layers, _DEPTH * pitch_y / layers)
    slot = step[0] if layers > 1 else pitch_x
    width = min(0.62 * slot, 1.1)
    height = min(0.3, 0.62 * (step[1] if layers > 1 else pitch_y))
    labels = short_labels([box.title for box in boxes.values()], width)
    places = []
    for (at, box), label in zip(boxes.items(), labels, strict=True):
        column, row, layer = _cell(at, sizes)
        x = LEFT + pitch_x * column + slot / 2 + step[0] * layer * (layers > 1)
        y = 0.5 + pitch_y * row + step[1] * layer * (layers > 1)
        places.append(Place(box, label, x, y, width, height))
    top = max(place.y for place in places) + 0.5
    cells = tuple(_cell(at, sizes) for at in boxes)
    return Layout(tuple(places), (), (), top, in_tiers=False, cells=cells)


def _axes(sizes: Coordinates) -> tuple[int, int, int]:
    """Columns, rows and layers that a grid of these sizes is drawn with."""
    if len(sizes) <= 3:
        rows, columns, *layers = (*sizes,) if len(sizes) > 1 else (1, *sizes)
        return columns, rows, (layers or [1])[0]
    half = len(sizes) // 2
    return math.prod(sizes[half:]), math.prod(sizes[:half]), 1


def _cell(at: Coordinates, sizes: Coordinates) -> tuple[int, int, int]:
    """Column, row and layer of a place; more than three dimensions are counted through, half each way."""
    if len(at) <= 3:
        row, column, *layer = at
        return column, row, (layer or [0])[0]
    half = len(at) // 2
    row, column = (
        int(np.ravel_multi_index(part, size))
        for part, size in ((at[:half], sizes[:half]), (at[half:], sizes[half:]))
    )
    return column, row, 0


def _on_ring(boxes: Mapping[Coordinates, Box]) -> Layout:
    groups = [place[0] for place in boxes] if len(next(iter(boxes))) > 1 else [0] * len(boxes)
    stops, position = [], 0.0
    for before, group in zip([groups[0], *groups], groups, strict=False):
        position += _GROUP_GAP if group != before else 0.0
        stops.append(position)
        position += 1.0
    whole = position + (_GROUP_GAP if groups[0] != groups[-1] else 0.0)
    radius_x, radius_y = (RIGHT - LEFT) / 2 - 0.7, _RING_HEIGHT / 2 - 0.3
    width = min(1.1, 0.8 * 2 * math.pi * radius_y / whole)
    labels = short_labels([box.title for box in boxes.values()], width)
    places = []
    for stop, box, label in zip(stops, boxes.values(), labels, strict=True):
        angle = math.pi / 2 - 2 * math.pi * (stop + 0.5) / whole
        x = (LEFT + RIGHT) / 2 + radius_x * math.cos(angle)
        y = 0.25 + _RING_HEIGHT / 2 + radius_y * math.sin(angle)
        places.append(Place(box, label, x, y, width, min(0.3, 0.6 * width + 0.08)))
    return Layout(tuple(places), (), (), _RING_HEIGHT + 0.5, in_tiers=False)
