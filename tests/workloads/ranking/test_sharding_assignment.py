"""Giving items to places: Graham's bound holds against the best of all assignments, and room is kept."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.workloads.ranking.sharding.assignment import (
    Item,
    in_turn,
    least_loaded_first,
    most_room_first,
)

seconds = st.lists(st.integers(1, 50), min_size=1, max_size=7)


def items_of(loads, sizes=None):
    sizes = sizes or [0] * len(loads)
    return [
        Item((n, 0), float(load), float(size))
        for n, (load, size) in enumerate(zip(loads, sizes, strict=True))
    ]


def slowest(loads, chosen, places):
    return max(
        sum(load for load, place in zip(loads, chosen, strict=True) if place == n) for n in range(places)
    )


@settings(max_examples=60, deadline=None)
@given(loads=seconds, places=st.integers(1, 3))
def test_dearest_first_keeps_grahams_bound(loads, places):
    chosen = least_loaded_first(items_of(loads), [0.0] * places, [1.0] * places)
    best = min(slowest(loads, each, places) for each in product(range(places), repeat=len(loads)))
    assert slowest(loads, chosen, places) <= best * (4 / 3 - 1 / (3 * places)) + 1e-9


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    room=st.lists(st.integers(10, 60), min_size=1, max_size=4),
    spread=st.sampled_from([least_loaded_first, in_turn, most_room_first]),
)
def test_no_place_takes_more_than_it_has_room_for(sizes, room, spread):
    free = [float(each) for each in room]
    chosen = spread(items_of(sizes, sizes), [0.0] * len(room), list(free))
    if isinstance(chosen, Item):
        assert sum(sizes) > max(room) or max(sizes) > max(room)
        return
    for place, size in zip(chosen, sizes, strict=True):
        free[place] -= size
    assert min(free) >= 0.0


def test_equal_items_go_to_places_in_order():
    assert least_loaded_first(items_of([5, 5, 5, 5]), [0.0, 0.0], [1.0, 1.0]) == [0, 1, 0, 1]
