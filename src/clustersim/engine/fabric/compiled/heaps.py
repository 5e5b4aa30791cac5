"""Three heaps: completions by time, fillings by level, and the flows of a class by target."""

from __future__ import annotations

from clustersim.engine.fabric.compiled.jit import classes_of, flows_of, head_of, inner, levels_of, queue_of

__all__ = [
    "flow_insert",
    "flow_pop",
    "level_push",
    "level_settle",
    "levels_order",
    "queue_put",
    "queue_remove",
]

# -- completions: a binary heap that knows where each class stands -------------------------


@inner
def _earlier(key: float, who: int, other_key: float, other_who: int) -> bool:
    return key < other_key or (key == other_key and who < other_who)


@inner
def _queue_up(s: int, place: int, key: float, who: int) -> None:
    queue, classes = queue_of(s), classes_of(s)
    while place > 0:
        parent = (place - 1) >> 1
        above = queue[parent]
        if not _earlier(key, who, above.key, above.who):
            break
        queue[place].key = above.key
        queue[place].who = above.who
        classes[above.who].queue_place = place
        place = parent
    queue[place].key = key
    queue[place].who = who
    classes[who].queue_place = place


@inner
def _queue_down(s: int, place: int, key: float, who: int) -> None:
    queue, classes, length = queue_of(s), classes_of(s), head_of(s)[0].queue
    while True:
        child = 2 * place + 1
        if child >= length:
            break
        if child + 1 < length and _earlier(
            queue[child + 1].key, queue[child + 1].who, queue[child].key, queue[child].who
        ):
            child += 1
        below = queue[child]
        if not _earlier(below.key, below.who, key, who):
            break
        queue[place].key = below.key
        queue[place].who = below.who
        classes[below.who].queue_place = place
        place = child
    queue[place].key = key
    queue[place].who = who
    classes[who].queue_place = place


@inner
def queue_put(s: int, c: int, finish_s: float) -> None:
    """Set the time of the next completion of class `c`."""
    place = classes_of(s)[c].queue_place
    if place < 0:
        place = head_of(s)[0].queue
        head_of(s)[0].queue = place + 1
        _queue_up(s, place, finish_s, c)
    elif finish_s < queue_of(s)[place].key:
        _queue_up(s, place, finish_s, c)
    else:
        _queue_down(s, place, finish_s, c)


@inner
def queue_remove(s: int, c: int) -> None:
    """Take class `c` out of the queue, if it is there."""
    place = classes_of(s)[c].queue_place
    if place >= 0:
        classes_of(s)[c].queue_place = -1
        last = head_of(s)[0].queue - 1
        head_of(s)[0].queue = last
        if place < last:
            key, who = queue_of(s)[last].key, queue_of(s)[last].who
            if place > 0 and _earlier(
                key, who, queue_of(s)[(place - 1) >> 1].key, queue_of(s)[(place - 1) >> 1].who
            ):
                _queue_up(s, place, key, who)
            else:
                _queue_down(s, place, key, who)


# -- levels: bundles by their index, caps of classes as -1 - index -------------------------


@inner
def level_push(s: int, key: float, who: int) -> None:
    """Add an entry."""
    levels, place = levels_of(s), head_of(s)[0].levels
    head_of(s)[0].levels = place + 1
    while place > 0:
        parent = (place - 1) >> 1
        if not _earlier(key, who, levels[parent].key, levels[parent].who):
            break
        levels[place].key = levels[parent].key
        levels[place].who = levels[parent].who
        place = parent
    levels[place].key = key
    levels[place].who = who


@inner
def level_settle(s: int, place: int, key: float, who: int) -> None:
    """Put an entry at `place` and let it sink to where it belongs."""
    levels, length = levels_of(s), head_of(s)[0].levels
    while True:
        child = 2 * place + 1
        if child >= length:
            break
        if child + 1 < length and _earlier(
            levels[child + 1].key, levels[child + 1].who, levels[child].key, levels[child].who
        ):
            child += 1
        if not _earlier(levels[child].key, levels[child].who, key, who):
            break
        levels[place].key = levels[child].key
        levels[place].who = levels[child].who
        place = child
    levels[place].key = key
    levels[place].who = who


@inner
def level_pop(s: int) -> None:
    """Drop the least entry."""
    last = head_of(s)[0].levels - 1
    head_of(s)[0].levels = last
    if last > 0:
        level_settle(s, 0, levels_of(s)[last].key, levels_of(s)[last].who)


@inner
def levels_order(s: int) -> None:
    """Make a heap of entries that stand in any order."""
    for place in range((head_of(s)[0].levels >> 1) - 1, -1, -1):
        level_settle(s, place, levels_of(s)[place].key, levels_of(s)[place].who)


# -- flows of a class: a pairing heap by (target, number) ----------------------------------


@inner
def _meld(s: int, one: int, other: int) -> int:
    flows = flows_of(s)
    if _earlier(flows[other].target, flows[other].number, flows[one].target, flows[one].number):
        one, other = other, one
    flows[other].sibling = flows[one].child
    flows[one].child = other
    return one


@inner
def flow_insert(s: int, root: int, flow: int) -> int:
    """Add a flow to the heap with this root (-1: empty); return the root."""
    flows_of(s)[flow].child = -1
    flows_of(s)[flow].sibling = -1
    if root < 0:
        return flow
    return _meld(s, root, flow)


@inner
def flow_pop(s: int, root: int) -> int:
    """Take the root out of its heap; return the root of the rest, -1 for none."""
    flows = flows_of(s)
    child = flows[root].child
    pairs = -1
    while child >= 0:
        second = flows[child].sibling
        if second < 0:
            flows[child].sibling = pairs
            pairs = child
            break
        rest = flows[second].sibling
        pair = _meld(s, child, second)
        flows[pair].sibling = pairs
        pairs = pair
        child = rest
    if pairs < 0:
        return -1
    merged = pairs
    pairs = flows[merged].sibling
    while pairs >= 0:
        rest = flows[pairs].sibling
        merged = _meld(s, merged, pairs)
        pairs = rest
    flows[merged].sibling = -1
    return merged
