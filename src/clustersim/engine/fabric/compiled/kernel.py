"""What Python calls: the entries of the kernel, compiled once and kept on disk. Imports numba."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numba
from numba import boolean, float64, int32, int64, uint8

from clustersim.engine.fabric.compiled.event_loop import place_members, play
from clustersim.engine.fabric.compiled.network import add_bounded_class, add_route_set, change_capacity
from clustersim.engine.fabric.compiled.paths import group_paths
from clustersim.engine.fabric.compiled.service import (
    catch_up,
    causes,
    finish_due,
    link_load,
    link_used,
    settle_all,
    solve_pending,
    start_flow,
    take_departed_off,
)
from clustersim.engine.fabric.compiled.text import read_decimals, read_integers

__all__ = ["PARTS", "FabricEntries", "TableEntries", "fabric_entries", "table_entries"]

PARTS = (
    *("layout", "jit", "heaps", "members", "fill", "ripple", "instant", "service", "network"),
    *("text", "paths", "event_loop", "kernel"),
)
"""The modules that compiled code is made of."""


class TableEntries(NamedTuple):
    """What the replay of a table calls; the functions in `text` and `event_loop` tell what each does."""

    read_decimals: Callable[..., int]
    read_integers: Callable[..., int]
    replay: Callable[..., None]


@cache
def table_entries() -> TableEntries:
    """Compile the entries for tables, or load them."""
    sources = _sources()

    def decimals(text: Any, values: Any, odd: Any) -> int:
        _ = sources  # a constant of each entry, so part of the key under which numba keeps it
        return read_decimals(text, values, odd)

    def integers(text: Any, numbers: Any, ends: Any) -> int:
        _ = sources
        return read_integers(text, numbers, ends)

    def replay(
        s: int,
        links: Any,
        ends: Any,
        order: Any,
        classes: Any,
        slots: Any,
        begins: Any,
        sizes: Any,
        finish: Any,
    ) -> None:
        _ = sources
        group_paths(s, links, ends, order, classes, slots)
        place_members(s)
        play(s, order, begins, classes, sizes, finish)

    rows, names, floats = int64[::1], int32[::1], float64[::1]
    return TableEntries(
        _entry((uint8[::1], floats, boolean[::1]), decimals),
        _entry((uint8[::1], rows, rows), integers),
        _entry((int64, rows, rows, rows, names, names, floats, floats, floats), replay),
    )


class FabricEntries(NamedTuple):
    """What `sharing.Compiled` calls; the functions of the same names tell what each does."""

    add_route_set: Callable[..., int]
    add_class: Callable[..., int]
    change_capacity: Callable[..., bool]
    start: Callable[..., float]
    finish: Callable[..., int]
    solve: Callable[..., float]
    settle: Callable[..., None]
    causes: Callable[..., None]
    load: Callable[..., float]
    used: Callable[..., bool]


@cache
def fabric_entries() -> FabricEntries:
    """Compile the entries for a fabric on a clock, or load them."""
    sources = _sources()

    def route_set(s: int, count: int, owner: int, now_s: float) -> int:
        _ = sources
        catch_up(s, now_s)
        return add_route_set(s, count, owner, now_s)

    def bounded_class(s: int, route: int, bound: float) -> int:
        _ = sources
        take_departed_off(s)
        return add_bounded_class(s, route, bound)

    def capacity(s: int, link: int, bytes_per_s: float, now_s: float) -> bool:
        _ = sources
        catch_up(s, now_s)
        return change_capacity(s, link, bytes_per_s, now_s)

    def start(s: int, c: int, flow: int, size_bytes: float, now_s: float) -> float:
        _ = sources
        return start_flow(s, c, flow, size_bytes, now_s)

    def finish(s: int, due_s: float, now_s: float) -> int:
        _ = sources
        return finish_due(s, due_s, now_s)

    def solve(s: int, now_s: float) -> float:
        _ = sources
        return solve_pending(s, now_s)

    def settle(s: int, now_s: float) -> None:
        _ = sources
        settle_all(s, now_s)

    def held_by(s: int, c: int, now_s: float) -> None:
        _ = sources
        causes(s, c, now_s)

    def load(s: int, link: int) -> float:
        _ = sources
        return link_load(s, link)

    def used(s: int, link: int) -> bool:
        _ = sources
        return link_used(s, link)

    number, real = int64, float64
    return FabricEntries(
        _entry((number, number, number, real), route_set),
        _entry((number, number, real), bounded_class),
        _entry((number, number, real, real), capacity),
        _entry((number, number, number, real, real), start),
        _entry((number, real, real), finish),
        _entry((number, real), solve),
        _entry((number, real), settle),
        _entry((number, number, real), held_by),
        _entry((number, number), load),
        _entry((number, number), used),
    )


def _entry(signature: tuple[Any, ...], function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile one entry for these types only, kept on disk where there is a place to write."""
    try:
        compiled: Callable[..., Any] = numba.njit(signature, cache=True, error_model="numpy")(function)
    except RuntimeError:  # neither beside the package nor in the user's cache
        compiled = numba.njit(signature, error_model="numpy")(function)
    return compiled


@cache
def _sources() -> int:
    """Return a number that changes with any line of the kernel.

    numba notices that the file of an entry changed, but not the files of what it calls; as a
    constant of every entry the number makes what was kept of other sources unusable.
    """
    folder = Path(__file__).parent
    text = b"".join((folder / f"{name}.py").read_bytes() for name in PARTS)
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
