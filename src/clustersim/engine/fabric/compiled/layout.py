"""The state of a compiled fabric: records in a few numpy arrays, found from one header.

A kernel is called with the address of the header alone; the header holds the addresses of the
tables. One number costs a tenth of what seven arrays cost to hand over, and a record keeps
what is read together in one or two cache lines.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["HEADER", "ROUTE_TABLES", "TABLES", "State"]

Records = npt.NDArray[Any]

CLASS = np.dtype(
    [
        ("first", "i8"),  # its crossings: first, and how many
        ("crossings", "i4"),
        ("count", "i4"),  # flows alive
        ("rate", "f8"),  # x of each flow, bytes/s
        ("total", "f8"),  # count · rate as the loads have it
        ("bound", "f8"),
        ("stamp", "i8"),  # scratch of the solver
        ("frozen", "i8"),
        ("new_rate", "f8"),
        ("new_holder", "i8"),
        ("cap", "f8"),
        ("cap_holder", "i8"),
        ("served", "f8"),  # service V at the time `since`
        ("since", "f8"),
        ("holder", "i8"),  # the crossing whose bundle holds it back; -1: its bound
        ("root", "i4"),  # the flow with the least target; -1: none
        ("dirty", "i4"),  # flows came or went since the last solve
        ("queue_place", "i4"),
        ("active_place", "i4"),
        ("held_since", "f8"),
        ("bound_s", "f8"),  # seconds at its bound in the present busy period
        ("route_set", "i8"),
        ("room", "i4"),  # crossings that fit where they stand
        ("next", "i4"),  # the next class of the route set
    ],
    align=True,
)

CROSSING = np.dtype(
    [
        ("bundle", "i4"),
        ("flow_class", "i4"),
        ("weight", "f8"),
        ("place", "i4"),  # where it stands among the members of the bundle
        ("next", "i4"),  # scratch: the next crossing of the bundle inside F
        ("held_s", "f8"),  # seconds that the bundle held the class back
    ],
    align=True,
)

BUNDLE = np.dtype(
    [
        # What every change reads, in one cache line.
        ("capacity", "f8"),
        ("load", "f8"),
        ("level", "f8"),  # rate of the classes it holds back; infinite: none
        ("saturated_since", "f8"),
        ("first", "i4"),  # its members begin here
        ("users", "i4"),  # so many
        ("held", "i4"),  # of which it holds back so many, in front
        ("room", "i4"),  # members that fit
        ("crossers", "i4"),  # classes that may become members
        ("link", "i4"),  # its link; -1 - route set where it is all links that only that one uses
        ("shaken", "i4"),  # its capacity changed since the last solve
        ("rising", "i4"),  # scratch, as all that follows: classes of F not frozen yet
        ("stamp", "i8"),
        ("offer", "f8"),  # capacity that the others leave to F
        ("demand", "f8"),  # weights of F
        ("free", "f8"),  # of offer and demand, what is not frozen yet
        ("need", "f8"),
        ("new_level", "f8"),
        ("full_turn", "i8"),  # the filling in which it was full last
        ("inside", "i4"),  # classes of F on it
        ("local", "i4"),  # first crossing of F
    ],
    align=True,
)

SPANS = np.dtype(
    [
        ("saturated_s", "f8"),
        ("first_saturated_s", "f8"),
        ("last_saturated_s", "f8"),
        ("audited", "i8"),  # when its load was added up afresh last
    ],
    align=True,
)
"""When a bundle was saturated; of a link, before it was where it is now."""

LINK = np.dtype(
    [
        ("capacity", "f8"),
        ("bundle", "i4"),  # -1: no route set uses it
        ("owner", "i4"),  # number of the one owner whose route sets use it; -1: none, -2: several
        ("spot", "i4"),  # the last route set that uses it
        ("altered", "i4"),  # its capacity is not what it began with
    ],
    align=True,
)

ROUTE = np.dtype(
    [
        ("first", "i8"),  # its spots: first, and how many
        ("spots", "i4"),
        ("rest", "i4"),  # the bundle of the links that only it uses, where they make one; -1: none
        ("tightest", "i4"),  # the link of `rest` that is full first
        ("private", "i4"),
        ("owner", "i4"),
        ("flow_class", "i4"),  # its first class
        ("asked", "i8"),  # the request for room that has counted it last
    ],
    align=True,
)

SPOT = np.dtype([("weight", "f8"), ("link", "i4"), ("route", "i4"), ("next", "i4")], align=True)
"""A link of a route set; `next` is the spot on the same link of the route set before."""

FLOW = np.dtype([("target", "f8"), ("number", "i8"), ("child", "i4"), ("sibling", "i4")], align=True)
"""A flow: done when its class has served `target`; its place in the heap of the class."""

ENTRY = np.dtype([("key", "f8"), ("who", "i8")], align=True)
"""An entry of a heap: completions by time, fillings by level."""

DONE = np.dtype([("flow", "i4"), ("first", "i4"), ("pairs", "i4")], align=True)
"""A flow that finished; what held its class back stands in `holders` from pair `first` on."""

PAIR = np.dtype([("link", "f8"), ("held_s", "f8")], align=True)
"""A link that held a class back (-1: its bound) in its present busy period, and how long."""

TABLES: dict[str, np.dtype[Any]] = {
    "classes": CLASS,
    "crossings": CROSSING,
    "bundles": BUNDLE,
    "bundle_spans": SPANS,
    "flows": FLOW,
    "queue": ENTRY,
    "levels": ENTRY,
    "done": DONE,
    "holders": PAIR,
    "links": LINK,
    "link_spans": SPANS,
    "routes": ROUTE,
    "spots": SPOT,
    "log": np.dtype("f8"),
    "inbox": np.dtype("f8"),
    **dict.fromkeys(
        ("members", "active", "dirty", "shaken", "chosen", "touched", "told", "changed"), np.dtype("i4")
    ),
}
_COUNTS = (
    *("classes", "crossings", "bundles", "members", "active", "dirty", "shaken", "chosen", "touched"),
    *("queue", "levels", "done", "holders", "log", "routes", "spots", "told", "changed"),
)
ROUTE_TABLES = ("classes", "crossings", "bundles", "members", "routes", "spots")
"""Tables that a new route set fills; the kernel asks for room before it begins."""

HEADER = np.dtype(
    [
        # Address of each table, and entries in use of those that fill up.
        *((f"{name}_at", "i8") for name in TABLES),
        *((name, "i8") for name in _COUNTS),
        # Of those that route sets fill: entries that there is room for, and that the last call needed.
        *((f"{name}_room", "i8") for name in ROUTE_TABLES),
        *((f"{name}_need", "i8") for name in ROUTE_TABLES),
        ("asked", "i8"),  # requests for room so far
        # Counters and marks.
        ("started", "i8"),  # flows so far: the number that breaks ties
        ("solves", "i8"),
        ("solved_s", "f8"),  # when the last one was
        ("flows_touched", "i8"),
        ("audit_at", "i8"),
        ("stamp", "i8"),  # of the present solve
        ("turn", "i8"),  # of the present filling
        ("metered", "i8"),  # whether anybody reads the log, saturated spans and held-by seconds
        ("observed", "i8"),  # whether anybody reads `changed`
        ("news", "i8"),  # what there is to tell about the last route set
        ("pending", "i8"),  # changes wait for a solve
        ("departed", "i8"),  # dirty classes are all without flows and held nobody back
        ("departed_s", "f8"),  # when they lost them
        ("merge_from", "i8"),  # links that a route set is the first to use, to make one bundle of them
        ("next_s", "f8"),  # time of the next completion
    ],
    align=True,
)
_LINE = 64
"""Bytes of a cache line."""


class State:
    """Owns the tables of one fabric and makes them larger when asked.

    Parameters
    ----------
    metered
        Whether the log, saturated spans and held-by seconds are kept.
    rooms
        Length of each table to begin with, by name; those not named begin with one entry.
    """

    def __init__(self, *, metered: bool, **rooms: int) -> None:
        self.header: Records = np.zeros(1, HEADER)
        self.head: Any = self.header[0]
        self.address = int(self.header.ctypes.data)
        self.head["metered"] = metered
        self.head["audit_at"] = 256
        self.head["next_s"] = math.inf
        self.head["solved_s"] = math.nan
        self.tables: dict[str, Records] = {}
        for name in TABLES:
            self.place(name, max(1, rooms.get(name, 0)))

    def place(self, name: str, room: int) -> Records:
        """Give a table room for so many entries; keep those in use."""
        dtype = TABLES[name]
        memory = np.zeros(room * dtype.itemsize + _LINE, dtype=np.uint8)
        skip = -memory.ctypes.data % _LINE
        table = memory[skip : skip + room * dtype.itemsize].view(dtype)
        old = self.tables.get(name)
        if old is not None:
            used = int(self.head[name]) if name in _COUNTS else len(old)
            table[:used] = old[:used]
        self.tables[name] = table
        self.head[f"{name}_at"] = table.ctypes.data
        if name in ROUTE_TABLES:
            self.head[f"{name}_room"] = room
        return table
