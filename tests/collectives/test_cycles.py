"""Rings over direct links and trees over nodes, as plain graphs."""

from __future__ import annotations

import pytest

from clustersim.collectives.cycles import pack_cycles
from clustersim.collectives.tree import binary_tree

CUBE_MESH = (
    (0, 1, 1), (0, 2, 1), (0, 3, 2), (0, 4, 2), (1, 2, 2), (1, 3, 1), (1, 5, 2), (2, 3, 2),
    (2, 6, 1), (3, 7, 1), (4, 5, 1), (4, 6, 1), (4, 7, 2), (5, 6, 2), (5, 7, 1), (6, 7, 2),
)  # fmt: skip


def both_ways(pairs: list[tuple[int, int, int]]) -> dict[tuple[int, int], int]:
    return {ends: lanes for one, other, lanes in pairs for ends in ((one, other), (other, one))}


def full_mesh(size: int) -> dict[tuple[int, int], int]:
    return {(one, other): 1 for one in range(size) for other in range(size) if one != other}


@pytest.mark.parametrize(("lanes", "size", "count"), [
    (full_mesh(4), 4, 2), (full_mesh(5), 5, 4), (full_mesh(8), 8, 6), (both_ways([*CUBE_MESH]), 8, 6),
])  # fmt: skip
def test_cycles_visit_every_gpu_once_and_use_no_lane_twice(
    lanes: dict[tuple[int, int], int], size: int, count: int
) -> None:
    cycles = pack_cycles(lanes, size=size)
    used: dict[tuple[int, int], int] = {}
    for cycle in cycles:
        assert sorted(cycle) == list(range(size))
        for ends in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            used[ends] = used.get(ends, 0) + 1
    assert len(cycles) == count
    assert all(used[ends] <= lanes[ends] for ends in used)


@pytest.mark.parametrize("lanes", [{}, both_ways([(0, 1, 1), (1, 2, 1), (2, 3, 1)])])
def test_without_a_cycle_there_is_none(lanes: dict[tuple[int, int], int]) -> None:
    assert pack_cycles(lanes, size=4) == []


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 16, 33])
def test_a_binary_tree_joins_all_vertices_with_at_most_two_children_and_log_depth(
    count: int, shift: int
) -> None:
    pairs = binary_tree(count, shift=shift)
    parent = dict(pairs)
    assert len(pairs) == len(parent) == count - 1
    children = [above for _, above in pairs]
    assert all(children.count(vertex) <= 2 for vertex in range(count))
    for vertex in range(count):
        depth = 0
        while vertex in parent:
            vertex, depth = parent[vertex], depth + 1
        assert depth <= count.bit_length()


@pytest.mark.parametrize("count", [2, 4, 6, 8, 16])
def test_of_an_even_number_no_vertex_is_inner_in_both_trees(count: int) -> None:
    inner = [{above for _, above in binary_tree(count, shift=shift)} for shift in (0, 1)]
    assert not inner[0] & inner[1]
