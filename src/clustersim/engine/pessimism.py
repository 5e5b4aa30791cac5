"""Collectives whose times are likely too long, because small transfers on several links delayed them."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Pessimism", "PessimisticCollectives"]

_TOLD_FROM = 0.05
"""Collectives that may be too slow by less are not told (assumed: half of what separates systems)."""


@dataclass(frozen=True, slots=True)
class PessimisticCollectives:
    """Collectives of one kind of one workload that may be too slow.

    Parameters
    ----------
    workload, kind
        As `all-reduce`.
    count
        How many.
    part
        By how much of its time step by step the worst may be too slow, at the most.
    size_bytes
        Of the worst.
    in_flight_bytes
        Of the worst: chunks in flight on one ring times bytes of a chunk. Transfers larger than that do
        not matter, and many smaller ones do.
    """

    workload: str
    kind: str
    count: int
    part: float
    size_bytes: float
    in_flight_bytes: float


class Pessimism:
    """Counts by workload and kind the collectives that may be too slow, and keeps the worst."""

    def __init__(self) -> None:
        self._by_kind: dict[tuple[str, str], PessimisticCollectives] = {}

    def add(self, found: PessimisticCollectives) -> None:
        """Count collectives; those that may be too slow by less than 5 % are left out."""
        if found.part < _TOLD_FROM:
            return
        key = found.workload, found.kind
        known = self._by_kind.get(key)
        if known is not None:
            worst = known if known.part >= found.part else found
            found = replace(worst, count=known.count + found.count)
        self._by_kind[key] = found

    @property
    def collectives(self) -> tuple[PessimisticCollectives, ...]:
        """One of each workload and kind, the worst first."""
        return tuple(sorted(self._by_kind.values(), key=lambda one: (-one.part, one.workload, one.kind)))
