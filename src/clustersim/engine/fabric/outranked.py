"""Flows of lower priorities, watched so that none waits forever without a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clustersim.engine.fabric.flow import Flow

__all__ = ["Outranked"]

_FEW = 64


class Outranked:
    """The flows alive that others are served before; costs nothing where there are none.

    **Checked by:** tests/study/test_traffic_classes.py.
    """

    def __init__(self) -> None:
        self._flows: list[Flow] = []
        self._prune_at = _FEW

    def started(self, flow: Flow) -> None:
        """Watch a flow from now until it ends."""
        self._flows.append(flow)
        if len(self._flows) >= self._prune_at:
            self._alive()
            self._prune_at = max(_FEW, 2 * len(self._flows))

    def starved(self, capacity: Callable[[int], float]) -> list[Flow]:
        """Return the flows that get nothing although none of their links has failed."""
        return [
            flow
            for flow in self._alive()
            if flow.rate_bytes_per_s == 0.0 and all(capacity(link) > 0.0 for link in flow.route_set.links)
        ]

    def _alive(self) -> list[Flow]:
        self._flows = [flow for flow in self._flows if flow.sharing is not None]
        return self._flows
