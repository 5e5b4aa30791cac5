"""Rows of a table of flows into classes: one for all rows with the same links."""

from __future__ import annotations

from typing import Any

from clustersim.engine.fabric.compiled.jit import bundles_of, classes_of, crossings_of, head_of, inner

__all__ = ["group_paths"]

_MIX = 1099511628211
"""Prime of the 64-bit FNV-1a hash."""


@inner
def _sort(links: Any, begin: int, end: int) -> None:
    """Sort part of an array; paths are short."""
    for place in range(begin + 1, end):
        value, hole = links[place], place
        while hole > begin and links[hole - 1] > value:
            links[hole] = links[hole - 1]
            hole -= 1
        links[hole] = value


@inner
def _hash(links: Any, begin: int, end: int) -> int:
    value = end - begin
    for place in range(begin, end):
        value = (value ^ links[place]) * _MIX
    return value ^ (value >> 29)


@inner
def group_paths(s: int, links: Any, ends: Any, order: Any, row_class: Any, slots: Any) -> None:
    """Make one class of all rows with the same links, and the crossings of each class.

    `links` holds the paths one after another and is sorted within each; `order` has the rows
    that move something; `slots` is an empty (-1) hash table whose length is a power of two.
    Each class remembers in `route_set` the first row that has its path.
    """
    head, mask = head_of(s)[0], len(slots) - 1
    for place in range(len(order)):
        row = order[place]
        begin, end = ends[row - 1] if row > 0 else 0, ends[row]
        _sort(links, begin, end)
        slot = _hash(links, begin, end) & mask
        while slots[slot] >= 0 and not _same(links, ends, classes_of(s)[slots[slot]].route_set, begin, end):
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = head.classes
            _add_class(s, links, begin, end, row)
        row_class[row] = slots[slot]


@inner
def _same(links: Any, ends: Any, row: int, begin: int, end: int) -> bool:
    other, other_end = ends[row - 1] if row > 0 else 0, ends[row]
    if other_end - other != end - begin:
        return False
    place = 0
    while place < end - begin and links[other + place] == links[begin + place]:
        place += 1
    return place == end - begin


@inner
def _add_class(s: int, links: Any, begin: int, end: int, row: int) -> None:
    head = head_of(s)[0]
    c = head.classes
    head.classes += 1
    flow_class = classes_of(s)[c]
    flow_class.first, flow_class.route_set = head.crossings, row
    flow_class.bound, flow_class.holder, flow_class.root, flow_class.queue_place, flow_class.active_place = (
        float("inf"),
        -1,
        -1,
        -1,
        -1,
    )
    for place in range(begin, end):
        if place > begin and links[place] == links[place - 1]:
            crossings_of(s)[head.crossings - 1].weight += 1.0
            continue
        crossing = crossings_of(s)[head.crossings]
        crossing.bundle, crossing.flow_class, crossing.weight = links[place], c, 1.0
        bundles_of(s)[links[place]].room += 1
        head.crossings += 1
    flow_class.crossings = head.crossings - flow_class.first
