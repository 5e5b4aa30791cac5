"""The queue of completions: when the next class has a flow that is done."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clustersim.engine.fabric.flow_class import FlowClass

__all__ = ["Completions"]


class Completions:
    """A heap of classes by the time of their next completion.

    A class whose completion moves into the future keeps its old place, and is put right when that
    comes up; only one that comes closer costs a push. So a class that is slowed down again and
    again, as every arrival on a busy link does, costs nothing here.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, FlowClass]] = []
        """Time, index and class; to be pushed to as `put` does."""

    def put(self, flow_class: FlowClass) -> None:
        """Note that the next completion of a class is at its `finish_s` now."""
        finish_s = flow_class.finish_s
        if finish_s < flow_class.queued_s:
            flow_class.queued_s = finish_s
            heappush(self.entries, (finish_s, flow_class.index, flow_class))

    def next_s(self, classes: int) -> float:
        """Return the time of the next completion; infinite where none is to come.

        `classes` is how many may have one: with many more entries than that, old ones are dropped.
        """
        entries = self.entries
        if len(entries) > 64 + 4 * classes:
            entries[:] = [entry for entry in entries if entry[2].queued_s == entry[0]]
            heapify(entries)
        while entries:
            queued_s, index, flow_class = entries[0]
            if flow_class.queued_s != queued_s:
                heappop(entries)
            elif flow_class.finish_s > queued_s:
                flow_class.queued_s = flow_class.finish_s
                if flow_class.finish_s < math.inf:
                    heapreplace(entries, (flow_class.finish_s, index, flow_class))
                else:
                    heappop(entries)
            else:
                return queued_s
        return math.inf

    def take(self, due_s: float) -> FlowClass | None:
        """Take out the class that is next, if it has a flow that is done by `due_s`."""
        entries = self.entries
        while entries and entries[0][0] <= due_s:
            queued_s, _, flow_class = heappop(entries)
            if flow_class.queued_s == queued_s:
                flow_class.queued_s = math.inf
                if flow_class.finish_s <= due_s:
                    flow_class.finish_s = math.inf
                    return flow_class
                self.put(flow_class)
        return None
