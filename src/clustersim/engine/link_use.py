"""How much each link is used at this instant, for adaptive routing of transfers."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clustersim.engine.fabric import Fabric
    from clustersim.topology.paths import Path

__all__ = ["LinkUse"]


class LinkUse:
    """Load of the links as adaptive routing sees it, with the transfers that are about to flow.

    *Equation.* use_l = load_l / capacity_l + connections on l that have been given a path and do
    not flow yet, each as if it would fill the link. A link of capacity zero is used infinitely. The
    load is the one of the last solved instant, so a transfer counts as pending until the clock
    moves on after its start.

    **Checked by:** tests/engine/test_transport.py.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._pending: dict[int, float] = {}
        self._started: deque[tuple[float, Path]] = deque()

    def __call__(self, link: int) -> float:
        """Use of a link: 1 is one connection that could fill it."""
        capacity = self._fabric.capacity_bytes_per_s(link)
        if capacity == 0.0:
            return math.inf
        return self._fabric.load_bytes_per_s(link) / capacity + self._pending.get(link, 0.0)

    def settle(self) -> None:
        """Forget the pending transfers whose rates are known by now; call it before asking."""
        while self._started and self._started[0][0] < self._fabric.now_s:
            self._add(self._started.popleft()[1], -1.0)

    def given(self, path: Path) -> None:
        """Note that a transfer has been given a path."""
        self._add(path, 1.0)

    def started(self, path: Path) -> None:
        """Note that its bytes begin to flow now."""
        self._started.append((self._fabric.now_s, path))

    def _add(self, path: Path, sign: float) -> None:
        for link, weight in zip(path.links, path.flow_weights, strict=True):
            left = self._pending.get(link, 0.0) + sign * weight
            if abs(left) < 1e-9:
                self._pending.pop(link, None)
            else:
                self._pending[link] = left
