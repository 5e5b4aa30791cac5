"""Which resource each second of a pass belongs to, once it is known whether host or device sets its pace."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.cost.roofline import KernelTime
from clustersim.engine.trace import HOST

__all__ = ["PassShares"]


class PassShares:
    """Books kernels and messages stretch by stretch; a stretch ends where the host waits for the device.

    *Equation.* A stretch takes max(Σ host, Σ device). Where the host takes longer, a faster device would
    change nothing, and all of the stretch is the host's.

    **Valid when** a change of some percent does not turn the one that is longer.
    **Checked by:** tests/study/test_radar_reruns.py.
    """

    def __init__(self) -> None:
        self._settled: dict[str, float] = {}
        self._open: dict[str, float] = {}
        self._given: list[tuple[dict[str, float], dict[str, float], float]] = []

    def kernels(self, time: KernelTime, *, covered_s: float = 0.0) -> None:
        """Add kernels, but for the seconds in which they run beside a message that takes longer.

        What messages run beside are products, so that arithmetic is covered first.
        """
        products_s = min(covered_s, time.compute_s)
        left = KernelTime(
            time.compute_s - products_s,
            max(0.0, time.memory_s - (covered_s - products_s)),
            time.launch_s,
        )
        self._add(self._open, left.shares(), 1.0)

    def message(self, shares: Mapping[str, float]) -> None:
        """Add what a message takes, by resource."""
        self._add(self._open, shares, 1.0)

    def settle(self, *, idle_s: float, restart_s: float = 0.0) -> None:
        """End a stretch in which the device was idle for so long, waiting for launches."""
        if idle_s > 0.0:
            for shares, settled, open_s in self._given:
                shares.clear()
                self._add(shares, settled, 1.0)
                self._add(shares, {HOST: open_s}, 1.0)
            self._open = {HOST: sum(self._open.values()) + idle_s}
        self._given.clear()
        self._add(self._settled, self._open, 1.0)
        self._add(self._settled, {HOST: restart_s}, 1.0)
        self._open = {}

    def take(self) -> Mapping[str, float]:
        """Return the seconds by resource since the last time; they change where the stretch is the host's."""
        shares = dict(self._settled)
        self._add(shares, self._open, 1.0)
        self._given.append((shares, self._settled, sum(self._open.values())))
        self._settled, self._open = {}, {}
        return shares

    @staticmethod
    def _add(to: dict[str, float], shares: Mapping[str, float], part: float) -> None:
        for resource, seconds in shares.items():
            if seconds * part > 0.0:
                to[resource] = to.get(resource, 0.0) + part * seconds
