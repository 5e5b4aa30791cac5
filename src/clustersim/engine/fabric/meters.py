"""What the links carried: bytes, saturated time, and utilisation over time in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustersim.engine.fabric.full_spans import FullSpans
from clustersim.engine.fabric.route_table import RouteTable
from clustersim.engine.fabric.series import LinkSeries

__all__ = ["FabricUsage", "LinkMeters"]

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

COLLECT_AT = 4 * 4096
"""Numbers in the log that make it worth packing them (assumed)."""
_FOLD_AT = 2**17
"""Entries that are kept packed, 4 MiB, before they are summed up (assumed)."""


@dataclass(frozen=True)
class FabricUsage:
    """What every link carried from the beginning to `until_s`.

    Arrays have one entry per link, except `bin_edges_s` (one more than bins), `used_links`
    (the links that carried something) and `utilization` (one row per used link, one column
    per bin).
    """

    until_s: float
    bytes: FloatArray
    mean_utilization: FloatArray
    """Bytes over what the link could have carried."""
    saturated_s: FloatArray
    first_saturated_s: FloatArray
    """NaN where never."""
    last_saturated_s: FloatArray
    bin_edges_s: FloatArray
    used_links: IntArray
    utilization: FloatArray


class LinkMeters:
    """Collects what route sets moved and spreads it over their links.

    While the simulation runs, an entry (route set, from, to, bytes) is appended to `log`
    when a rate changes; see `sharing.Sharing` for its form. Entries are packed in batches, and
    summed up when somebody asks or there are many: bytes per route set, and bytes per link and
    time bin.

    Parameters
    ----------
    capacities
        Bytes/s of each link at the beginning.
    origin_s
        When that is.
    """

    def __init__(self, capacities: Sequence[float], *, origin_s: float) -> None:
        self.origin_s = origin_s
        self.log: list[float] = []
        self.table = RouteTable()
        self._packed: list[FloatArray] = []
        self._packed_entries = 0
        self._capacities = np.array(capacities, dtype=float)
        self._present = self._capacities.copy()
        self._changes: dict[int, list[tuple[float, float]]] = {}
        self._moved: FloatArray = np.zeros(0)
        self._series = LinkSeries(self.table, len(capacities))
        self._full_spans = FullSpans(self.table, len(capacities))

    def capacity_changed(self, link: int, bytes_per_s: float, now_s: float) -> None:
        """Note a change of capacity; all that moved over the link so far must be in the log."""
        self.collect()
        self._full_spans.capacity_changes(link, self._present)
        self._present[link] = bytes_per_s
        history = self._changes.setdefault(link, [(self.origin_s, float(self._capacities[link]))])
        history.append((now_s, bytes_per_s))

    def collect(self) -> None:
        """Pack the log."""
        if not self.log:
            return
        entries = np.array(self.log, dtype=float).reshape(-1, 4)
        self.log.clear()
        self.take(entries)

    def take(self, entries: FloatArray) -> None:
        """Keep entries of the log, a row each; the array is not to be used by others any more."""
        full = np.flatnonzero(entries[:, 0] < 0.0)
        if len(full):
            entries[full, 0] = -1.0 - entries[full, 0]
            route_sets = entries[full, 0].astype(np.int64)
            self._full_spans.add(route_sets, entries[full, 1], entries[full, 2])
        self._packed.append(entries)
        self._packed_entries += len(entries)
        if self._packed_entries >= _FOLD_AT:
            self._fold()

    def _fold(self) -> None:
        """Sum up what is packed."""
        self.collect()
        if not self._packed:
            return
        entries = np.concatenate(self._packed)
        self._packed, self._packed_entries = [], 0
        route_sets = entries[:, 0].astype(np.int64)
        known = len(self.table.route_sets)
        self._moved = np.concatenate([self._moved, np.zeros(known - len(self._moved))])
        self._moved += np.bincount(route_sets, weights=entries[:, 3], minlength=known)
        origin_s = self.origin_s
        self._series.add(route_sets, entries[:, 1] - origin_s, entries[:, 2] - origin_s, entries[:, 3])

    def usage(self, until_s: float, saturation: tuple[list[float], list[float], list[float]]) -> FabricUsage:
        """Return everything up to `until_s`; `saturation` as `Sharing.saturation` gives it."""
        self._fold()
        table = self.table
        used = int(table.offsets[len(self._moved)])
        moved = np.repeat(self._moved, np.diff(table.offsets[: len(self._moved) + 1]))
        carried = np.zeros(len(self._capacities))
        np.add.at(carried, table.links[:used], moved * table.coefficients[:used])
        seconds, first, last = self._saturation(*saturation)
        used_links = np.flatnonzero(carried)
        edges = self.origin_s + self._series.edges(until_s - self.origin_s)
        edges[-1] = max(until_s, self.origin_s)
        able = self._could_carry(np.arange(len(carried)), np.array([self.origin_s, until_s]))[:, 0]
        series = self._series.of_links(used_links, len(edges) - 1)
        return FabricUsage(
            until_s=until_s,
            bytes=carried,
            mean_utilization=_ratio(carried, able),
            saturated_s=seconds,
            first_saturated_s=first,
            last_saturated_s=last,
            bin_edges_s=edges,
            used_links=used_links,
            utilization=_ratio(series, self._could_carry(used_links, edges)),
        )

    def moved_bytes(self) -> FloatArray:
        """Return the bytes of x that each route set moved."""
        self._fold()
        table = self.table
        moved: FloatArray = np.array([route_set.share for route_set in table.route_sets])
        moved[: len(self._moved)] *= self._moved
        moved[len(self._moved) :] = 0.0
        return moved

    def _saturation(
        self, seconds: Sequence[float], first: Sequence[float], last: Sequence[float]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Put together what the sharing saw and what route sets filled by themselves."""
        full = self._full_spans.of_links(self._present)
        first_s = np.minimum(np.array(first, dtype=float), full.first_s)
        last_s = np.maximum(np.array(last, dtype=float), full.last_s)
        never = ~np.isfinite(first_s)
        first_s[never] = last_s[never] = math.nan
        # Both saw a link that one class fills but for less than `FULL`.
        both = np.minimum(np.array(seconds, dtype=float) + full.seconds, np.maximum(last_s - first_s, 0.0))
        both[never] = 0.0
        return both, first_s, last_s

    def _could_carry(self, links: IntArray, edges: FloatArray) -> FloatArray:
        """Bytes that each link could have carried in each bin: the integral of its capacity."""
        able = self._capacities[links][:, None] * np.diff(edges)[None, :]
        for row, link in enumerate(links.tolist()):
            if link in self._changes:
                times, values = (np.array(column) for column in zip(*self._changes[link], strict=True))
                able[row] = _integral(times, values, edges)
        return able


def _integral(times: FloatArray, values: FloatArray, edges: FloatArray) -> FloatArray:
    """Integrate steps, `values` from `times` on, over each bin; by pieces, so that nothing cancels."""
    points = np.union1d(edges, times[(times > edges[0]) & (times < edges[-1])])
    begins = points[:-1]
    value = values[np.clip(np.searchsorted(times, begins, side="right") - 1, 0, None)]
    bins = np.searchsorted(edges, begins, side="right") - 1
    whole = np.zeros(len(edges) - 1)
    np.add.at(whole, bins, np.diff(points) * value)
    return whole


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
