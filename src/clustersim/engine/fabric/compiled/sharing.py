"""Max-min sharing with all state in the tables of the compiled kernel."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from math import inf
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.engine.fabric.compiled.kernel import fabric_entries
from clustersim.engine.fabric.compiled.layout import HEADER, ROUTE_TABLES, State
from clustersim.engine.fabric.held import seconds_between
from clustersim.engine.fabric.sharing import FULL

if TYPE_CHECKING:
    from clustersim.engine.fabric.flow import Flow
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["Compiled"]

_LOG_ROOM = 1 << 16
"""Numbers in the log before the meters take them over (assumed)."""
_SPANS = ("saturated_s", "first_saturated_s", "last_saturated_s")
_ROOMS = {"classes": 4, "routes": 4, "bundles": 1, "crossings": 32, "members": 64, "spots": 32}
"""Entries per link that there is room for to begin with; memory that is not used costs nothing (assumed)."""


def _field(name: str) -> int:
    """Return where in the header a field stands, in words of eight bytes."""
    assert HEADER.fields is not None
    return HEADER.fields[name][1] // 8


_CHANGED, _HOLDERS, _LOG, _NEWS = map(_field, ("changed", "holders", "log", "news"))
_NEXT_S, _PENDING, _SOLVES = map(_field, ("next_s", "pending", "solves"))
_TOLD, _TOUCHED = map(_field, ("told", "flows_touched"))


class Compiled:
    """The compiled implementation of `clustersim.engine.fabric.sharing.Sharing`.

    Parameters
    ----------
    capacities
        Bytes/s of each link.
    take
        Is given what moved, an entry of `LinkMeters.log` in each row.
    merge_from
        Links that a route set is the first to use are one constraint where they are so many.
    """

    def __init__(self, capacities: Sequence[float], take: Callable[[Any], None], *, merge_from: int) -> None:
        self.pending = False
        self.next_s = inf
        self.state_of_capacities = 0
        """How often capacities changed; what was measured before the last time does not hold."""
        self._changed: list[RouteSet] | None = None
        self._take = take
        self._call = fabric_entries()
        self._start, self._finish, self._solve = self._call.start, self._call.finish, self._call.solve
        self._add_route_set = self._call.add_route_set
        self._state = State(metered=True, links=len(capacities), link_spans=len(capacities))
        self._state.head["merge_from"] = merge_from
        links = self._state.tables["links"]
        links["capacity"] = capacities
        links["bundle"] = links["owner"] = links["spot"] = -1
        self._address = self._state.address
        words = _words(self._state.header).cast("B")
        self._integers, self._floats = words.cast("q"), words.cast("d")
        self._route_sets: list[RouteSet] = []
        """By their numbers in the tables; each has its class as its place."""
        self._indices = array("q")
        """What the log calls the route sets, of which the last may be missing."""
        self._bounded: dict[tuple[RouteSet, float], int] = {}
        self._bound_of_class: dict[int, tuple[RouteSet, float]] = {}
        self._owners: dict[str, int] = {}
        self._packers: dict[int, Callable[..., None]] = {}
        self._flows: list[Flow] = []
        """By their place in the table; an ended one stays until another takes its place."""
        self._class_of_flow: list[int] = []
        self._free: list[int] = []
        self._grow_inbox(64)
        for name in ROUTE_TABLES:
            self._state.head[f"{name}_need"] = _ROOMS[name] * len(capacities) // 2 + 512
        self._make_room()
        self._make_room_for_flows()

    @property
    def solves(self) -> int:
        """How often rates were computed, at most once per instant."""
        return self._integers[_SOLVES]

    @property
    def flows_touched(self) -> int:
        """How many classes' rates were computed, over all solves."""
        return self._integers[_TOUCHED]

    @property
    def changed(self) -> list[RouteSet] | None:
        """Where to append the route sets whose total rate changed; None: nobody asks."""
        return self._changed

    @changed.setter
    def changed(self, changed: list[RouteSet] | None) -> None:
        self._changed = changed
        self._state.head["observed"] = changed is not None

    def take_over(
        self,
        altered: Iterable[int],
        saturation: tuple[Sequence[float], Sequence[float], Sequence[float]],
        state_of_capacities: int,
    ) -> None:
        """Go on where another sharing stands: what is known of the links so far."""
        self.state_of_capacities = state_of_capacities
        links = self._state.tables["links"]
        links["altered"][list(altered)] = 1
        for name, values in zip(_SPANS, saturation, strict=True):
            self._state.tables["link_spans"][name] = values

    def go_on_counting(self, solves: int, flows_touched: int) -> None:
        """Count solves and classes from here."""
        self._integers[_SOLVES], self._integers[_TOUCHED] = solves, flows_touched

    # -- route sets and links ------------------------------------------------------------

    def register(self, route_set: RouteSet, now_s: float) -> None:
        """Take up a new route set, and tell those that it ends the privacy of."""
        links, owner = route_set.links, 0
        count = len(links)
        pack = self._packers.get(count) or self._packer(count)
        if route_set.owner:
            owner = self._owners.setdefault(route_set.owner, len(self._owners) + 1)
        pack(self._inbox, 0, *links, *route_set.coefficients)
        c = self._add_route_set(self._address, count, owner, now_s)
        if c < 0:
            self._make_room()
            c = self._add_route_set(self._address, count, owner, now_s)
        route_set.place = c
        self._route_sets.append(route_set)
        news = self._integers[_NEWS]
        if news:
            route_set.private = not news & 1
            if news & 2:
                self._tell()

    def _packer(self, count: int) -> Callable[..., None]:
        """Return what writes so many links and coefficients to the inbox, and make room for them."""
        if 2 * count > len(self._inbox_floats):
            self._grow_inbox(4 * count)
        pack = self._packers[count] = Struct(f"{2 * count}d").pack_into
        return pack

    def measure(self, route_set: RouteSet) -> None:
        """Find the narrowest link of a route set at the present capacities."""
        if route_set.measured != self.state_of_capacities and route_set.links:
            capacities = self._state.tables["links"]["capacity"][list(route_set.links)]
            room = capacities / np.array(route_set.coefficients)
            narrowest = int(room.argmin())
            route_set.narrowest = float(room[narrowest])
            route_set.narrowest_link = route_set.links[narrowest]
            route_set.measured = self.state_of_capacities

    def set_capacity(self, link: int, bytes_per_s: float, now_s: float) -> None:
        """Change a link from now on."""
        self.settle(now_s)  # what moved so far moved at the old capacity
        if not self._call.change_capacity(self._address, link, bytes_per_s, now_s):
            self._make_room()
            self._call.change_capacity(self._address, link, bytes_per_s, now_s)
        self.state_of_capacities += 1
        self._tell()

    def _tell(self) -> None:
        """Tell the route sets that lost their privacy by the last call."""
        told = self._integers[_TOLD]
        if told:
            for number in self._told[:told].tolist():
                self._route_sets[number].lose_privacy()
        self.pending = self._integers[_PENDING] != 0

    # -- flows ---------------------------------------------------------------------------

    def start(self, flow: Flow, route_set: RouteSet, size_bytes: float, bound: float, now_s: float) -> None:
        """Let a flow begin; `size_bytes` and `bound` (bytes/s, or infinite) are positive."""
        c = route_set.place if bound == inf else self._bounded_class(route_set, bound)
        if not self._free:
            self._make_room_for_flows()
        slot = self._free.pop()
        self._flows[slot] = flow
        flow.sharing, flow.place = self, slot
        self._class_of_flow[slot] = c
        next_s = self._start(self._address, c, slot, size_bytes, now_s)
        if next_s >= 0.0:
            self.next_s = next_s
        else:
            self.pending = True
            if self._integers[_HOLDERS]:
                flow.held_before = self._held(0, self._integers[_HOLDERS])
        if self._changed is not None:
            self._note_changed(self._changed)

    def solve(self, now_s: float) -> None:
        """Find the rates after all changes of this instant."""
        self.next_s = self._solve(self._address, now_s)
        self.pending = False
        if self._integers[_LOG] >= _LOG_ROOM:
            self._hand_over()
        if self._changed is not None:
            self._note_changed(self._changed)

    def finish(self, due_s: float, now_s: float) -> Sequence[Flow]:
        """End the flows that are done by `due_s` and return them in order of starting."""
        count = self._finish(self._address, due_s, now_s)
        next_s = self._floats[_NEXT_S]
        if next_s >= 0.0:
            self.next_s = next_s
        else:
            self.pending = True
        if self._integers[_LOG] >= _LOG_ROOM:
            self._hand_over()
        if self._changed is not None:
            self._note_changed(self._changed)
        done = self._done[: 3 * count].tolist()
        if count == 1:
            return (self._end(done, now_s),)
        ended = [self._end(done[at : at + 3], now_s) for at in range(0, 3 * count, 3)]
        ended.sort(key=_number)
        return ended

    def _end(self, done: Sequence[int], now_s: float) -> Flow:
        """End a flow, of which the kernel tells its place, and where among the holders its own are."""
        slot, first, pairs = done
        flow = self._flows[slot]
        self._free.append(slot)
        if pairs == 1 and flow.held_before is None:
            flow.end(int(self._holders[2 * first]), now_s)
        else:
            flow.end(self._held(first, pairs), now_s)
        return flow

    def _held(self, first: int, pairs: int) -> bytes:
        """Return some of the holders that the last call noted."""
        return self._holders[2 * first : 2 * (first + pairs)].tobytes()

    def rate(self, flow: Flow) -> float:
        """Return the present rate of a flow that has not ended."""
        return float(self._state.tables["classes"][self._class_of_flow[flow.place]]["rate"])

    def held_s(self, flow: Flow, now_s: float) -> dict[int, float]:
        """Return the seconds by holding link (or `BOUND`) of a flow that has not ended."""
        self._call.causes(self._address, self._class_of_flow[flow.place], now_s)
        held = self._held(0, self._integers[_HOLDERS])
        return seconds_between(flow.held_before, held, now_s - flow.started_s)

    def _bounded_class(self, route_set: RouteSet, bound: float) -> int:
        known = self._bounded.get((route_set, bound))
        if known is not None:
            return known
        route = int(self._state.tables["classes"]["route_set"][route_set.place])
        c = self._call.add_class(self._address, route, bound)
        if c < 0:
            self._make_room()
            c = self._call.add_class(self._address, route, bound)
        before = self._bound_of_class.pop(c, None)
        if before is not None:
            del self._bounded[before]
        self._bound_of_class[c] = (route_set, bound)
        self._bounded[route_set, bound] = c
        return c

    # -- what was carried ----------------------------------------------------------------

    def load(self, link: int) -> float:
        """Return the bytes/s that cross a link, as of the last solve."""
        return self._call.load(self._address, link)

    def used(self, link: int) -> bool:
        """Return whether flows that have not ended use the link."""
        return self._call.used(self._address, link)

    def settle(self, now_s: float) -> None:
        """Write to the log what has moved up to now."""
        self._call.settle(self._address, now_s)
        self._hand_over()

    def saturation(self, now_s: float) -> tuple[list[float], list[float], list[float]]:
        """Return seconds saturated, first and last saturated time of every link up to `now_s`."""
        self._call.settle(self._address, now_s)
        tables, head = self._state.tables, self._state.head
        seconds, first, last = (tables["link_spans"][name].copy() for name in _SPANS)
        first[seconds == 0.0], last[seconds == 0.0] = inf, -inf
        bundles, spans = tables["bundles"][: head["bundles"]], tables["bundle_spans"][: head["bundles"]]
        running = np.maximum(now_s - bundles["saturated_since"], 0.0)
        for index in np.flatnonzero((spans["saturated_s"] > 0.0) | (running > 0.0)).tolist():
            where = self._tight_links(index)
            seconds[where] += spans["saturated_s"][index] + running[index]
            earlier = spans["saturated_s"][index] > 0.0
            since = spans["first_saturated_s"][index] if earlier else bundles["saturated_since"][index]
            first[where] = np.minimum(first[where], since)
            until = now_s if running[index] > 0.0 else spans["last_saturated_s"][index]
            last[where] = np.maximum(last[where], until)
        return seconds.tolist(), first.tolist(), last.tolist()

    def _tight_links(self, index: int) -> Any:
        """Return the links that are full when a bundle is."""
        tables = self._state.tables
        link = int(tables["bundles"]["link"][index])
        if link >= 0:
            return [link]
        route = tables["routes"][-1 - link]
        spots = tables["spots"][route["first"] : route["first"] + route["spots"]]
        links = tables["links"][spots["link"]]
        tight = links["capacity"] / spots["weight"] <= tables["bundles"]["capacity"][index] * (1.0 + FULL)
        return spots["link"][tight & (links["bundle"] == index)]

    def _hand_over(self) -> None:
        """Give the meters what has moved."""
        used = self._integers[_LOG]
        self._indices.extend([route_set.index for route_set in self._route_sets[len(self._indices) :]])
        if used:
            moved: Any = np.array(self._state.tables["log"][:used]).reshape(-1, 4)
            moved[:, 0] = np.array(self._indices)[moved[:, 0].astype(np.int64)]
            self._take(moved)
            self._integers[_LOG] = 0

    def _note_changed(self, changed: list[RouteSet]) -> None:
        """Append the route sets whose total rate the last call changed."""
        numbers = self._state.tables["changed"][: self._integers[_CHANGED]].tolist()
        changed += [self._route_sets[number] for number in numbers]
        self._integers[_CHANGED] = 0

    # -- room ----------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Make the tables larger that the last call found too small, and those that are as long as they."""
        state = self._state
        for name in ROUTE_TABLES:
            need = int(state.head[f"{name}_need"])
            if need > len(state.tables[name]):
                state.place(name, 2 * need)
        rooms = {name: len(state.tables[name]) for name in ROUTE_TABLES}
        classes, bundles = rooms["classes"], rooms["bundles"]
        for name, room in {
            **dict.fromkeys(("queue", "active", "dirty", "chosen"), classes),
            **dict.fromkeys(("bundle_spans", "shaken", "touched"), bundles),
            "told": rooms["routes"],
            "changed": 3 * classes,
            "holders": classes + rooms["crossings"],
            "log": _LOG_ROOM + 12 * classes,
            "levels": classes + bundles + rooms["crossings"],
        }.items():
            if room > len(state.tables[name]):
                state.place(name, room)
        self._told = _words(state.tables["told"])
        self._holders = _words(state.tables["holders"]).cast("B").cast("d")

    def _grow_inbox(self, room: int) -> None:
        inbox = self._state.place("inbox", room)
        self._inbox_floats = _words(inbox)
        self._inbox = self._inbox_floats.cast("B")

    def _make_room_for_flows(self) -> None:
        """Double the number of flows that can be alive."""
        begin = len(self._flows)
        end = max(64, 2 * begin)
        self._state.place("flows", end)
        self._done = _words(self._state.place("done", end)).cast("B").cast("i")
        nobody: Any = None
        self._flows += [nobody] * (end - begin)
        self._class_of_flow += [0] * (end - begin)
        self._free += range(end - 1, begin - 1, -1)


def _number(flow: Flow) -> int:
    return flow.number


def _words(table: Any) -> memoryview:
    """Return a table for reading number by number, which is several times quicker than numpy does it."""
    return memoryview(table)
