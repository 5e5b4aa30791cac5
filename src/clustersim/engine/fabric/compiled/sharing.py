"""Max-min sharing with all state in the tables of the compiled kernel."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.engine.fabric.compiled.kernel import fabric_entries
from clustersim.engine.fabric.compiled.layout import HEADER, ROUTE_TABLES, State
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
_SPANS = ("saturated_s", "first_saturated_s", "last_saturated_s")
_ROOM = 4096
"""Classes that there is room for to begin with: memory that is not used costs nothing (assumed)."""
_PER_CLASS = {"crossings": 8, "members": 16, "spots": 8}
"""So many entries for each; other tables that route sets fill have as many entries as classes (assumed)."""
_SEVERAL = -2
"""Stands for several holders where a finished flow names the one that held it back."""


def _field(name: str) -> int:
    """Return where in the header a field stands, in words of eight bytes."""
    assert HEADER.fields is not None
    return HEADER.fields[name][1] // 8


_CHANGED, _JOINED, _LOG, _NEWS = map(_field, ("changed", "joined", "log", "news"))
_NEXT_S, _PENDING, _SOLVES = map(_field, ("next_s", "pending", "solves"))
_TOLD, _TOUCHED = map(_field, ("told", "flows_touched"))


class Compiled:
    """The compiled implementation of `clustersim.engine.fabric.sharing.Sharing`.

    Parameters
    ----------
    capacities
        Bytes/s of each link.
    log
        Where to write what moved.
    merge_from
        Links that a route set is the first to use are one constraint where they are so many.
    """

    def __init__(self, capacities: Sequence[float], log: list[float], *, merge_from: int) -> None:
        self.pending = False
        self.next_s = math.inf
        self.state_of_capacities = 0
        """How often capacities changed; what was measured before the last time does not hold."""
        self._changed: list[RouteSet] | None = None
        self._log = log
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
        self._indices = array("q")
        """What the log calls each of them."""
        self._class_of: dict[RouteSet, int] = {}
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
        links = route_set.links
        count = len(links)
        pack = self._packers.get(count)
        if pack is None:
            pack = self._packers[count] = Struct(f"{2 * count}d").pack_into
            if 2 * count > len(self._inbox_floats):
                self._grow_inbox(4 * count)
        owner = route_set.owner and self._owners.setdefault(route_set.owner, len(self._owners) + 1)
        pack(self._inbox, 0, *links, *route_set.coefficients)
        c = self._add_route_set(self._address, count, owner or 0, now_s)
        if c < 0:
            self._make_room()
            c = self._add_route_set(self._address, count, owner or 0, now_s)
        self._class_of[route_set] = c
        self._route_sets.append(route_set)
        self._indices.append(route_set.index)
        news = self._integers[_NEWS]
        if news & 1:
            route_set.private = False
        if news & 2:
            self._tell()

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
        c = self._class_of[route_set] if bound == math.inf else self._bounded_class(route_set, bound)
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
            if self._integers[_JOINED]:
                flow.held_before = self._causes(c, now_s)
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
        if count == 1:
            flow = self._flows[self._done[0]]
            self._end(flow, self._done[0], self._done[1], now_s)
            return (flow,)
        done = self._done[: 2 * count].tolist()
        ended = [self._flows[slot] for slot in done[::2]]
        for flow, slot, link in zip(ended, done[::2], done[1::2], strict=True):
            self._end(flow, slot, link, now_s)
        ended.sort(key=_number)
        return ended

    def _end(self, flow: Flow, slot: int, link: int, now_s: float) -> None:
        """End one flow that was held back by one link, or by several."""
        self._free.append(slot)
        if flow.held_before is None and link != _SEVERAL:
            flow.end({link: now_s - flow.started_s}, now_s)
        else:
            flow.end(self._since(flow, self._causes(self._class_of_flow[slot], now_s), now_s), now_s)

    def rate(self, flow: Flow) -> float:
        """Return the present rate of a flow that has not ended."""
        return float(self._state.tables["classes"][self._class_of_flow[flow.place]]["rate"])

    def held_s(self, flow: Flow, now_s: float) -> dict[int, float]:
        """Return the seconds by holding link (or `BOUND`) of a flow that has not ended."""
        return self._since(flow, self._causes(self._class_of_flow[flow.place], now_s), now_s)

    def _causes(self, c: int, now_s: float) -> dict[int, float]:
        """Return the seconds by holding link of a class, in its present busy period."""
        count = self._call.causes(self._address, c, now_s)
        pairs = self._inbox_floats[: 2 * count].tolist()
        held_s: dict[int, float] = {}
        for link, seconds in zip(pairs[::2], pairs[1::2], strict=True):
            held_s[int(link)] = held_s.get(int(link), 0.0) + seconds
        return held_s

    @staticmethod
    def _since(flow: Flow, held_s: dict[int, float], now_s: float) -> dict[int, float]:
        """Return what was added since the flow began; it adds up to its life."""
        before = flow.held_before
        if before is None:
            return held_s
        seconds = {link: held_s.get(link, 0.0) - before.get(link, 0.0) for link in {**before, **held_s}}
        seconds = {link: value for link, value in seconds.items() if value > 0.0}
        if seconds:
            # Differences of long sums round; the longest share takes what is missing.
            longest = max(seconds, key=seconds.__getitem__)
            seconds[longest] += now_s - flow.started_s - sum(seconds.values())
        return seconds

    def _bounded_class(self, route_set: RouteSet, bound: float) -> int:
        known = self._bounded.get((route_set, bound))
        if known is not None:
            return known
        route = int(self._state.tables["classes"]["route_set"][self._class_of[route_set]])
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
        first[seconds == 0.0], last[seconds == 0.0] = math.inf, -math.inf
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
        moved: Any = np.array(self._state.tables["log"][:used])
        moved[::4] = np.array(self._indices)[moved[::4].astype(np.int64)]
        self._log += moved.tolist()
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
            "log": _LOG_ROOM + 12 * classes,
            "levels": classes + bundles + rooms["crossings"],
        }.items():
            if room > len(state.tables[name]):
                state.place(name, room)
        self._told = _words(state.tables["told"])

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
