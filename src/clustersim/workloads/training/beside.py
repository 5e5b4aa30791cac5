"""Who is to blame for a stretch of kernels that took longer: the collectives that ran beside it."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.engine.trace import QUEUEING

__all__ = ["Beside"]


class Beside:
    """A collective beside kernels; books what it slowed them on its own resources.

    Kernels that a collective slowed would be done sooner by what the collective would end sooner, so that
    their extra time shrinks with the collective's resources, not with the kernels'. Which these are is
    known at its end; until then the extra time stands as waiting.

    Parameters
    ----------
    fraction
        Of the GPU, which it takes from kernels.
    """

    __slots__ = ("_owed", "_shares", "_since_s", "_until_s", "fraction")

    def __init__(self, fraction: float, *, now_s: float) -> None:
        self.fraction = fraction
        self._since_s = now_s
        self._until_s: float | None = None
        self._shares: Mapping[str, float] = {}
        self._owed: list[tuple[dict[str, float], float]] = []

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._until_s is None

    def begin_stretch(self, now_s: float) -> None:
        """Count from now on."""
        self._since_s = now_s

    def weight(self, now_s: float) -> float:
        """Return what it has taken from the stretch, in seconds of the whole GPU."""
        until_s = now_s if self._until_s is None else self._until_s
        return self.fraction * (until_s - self._since_s)

    def end(self, now_s: float, shares: Mapping[str, float]) -> None:
        """Note its end, and the seconds by resource that it took."""
        self._until_s, self._shares = now_s, shares
        for owing, seconds in self._owed:
            left = owing.pop(QUEUEING, 0.0) - seconds
            if left > 1e-9 * seconds:
                owing[QUEUEING] = left
            self.book(owing, seconds)

    def book(self, to: dict[str, float], seconds: float) -> None:
        """Add so many seconds that it slowed kernels by, now or when it has ended."""
        total_s = sum(self._shares.values())
        if total_s:
            for resource, share in self._shares.items():
                to[resource] = to.get(resource, 0.0) + seconds * share / total_s
            return
        to[QUEUEING] = to.get(QUEUEING, 0.0) + seconds
        if self.running:
            self._owed.append((to, seconds))
