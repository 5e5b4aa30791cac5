"""What the links carried: bytes, saturated time, and utilisation over time in bounded memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FabricUsage", "LinkMeters"]

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

BINS = 256
"""Bins of the utilisation series; when they are full their width doubles (assumed)."""
_OWN_ROW_FROM = 64
"""Route sets with at least so many links keep a series of their own, spread out at the end (assumed)."""
DIGEST_AT = 4 * 16384
"""Numbers in the log that make it worth digesting (assumed)."""
_CHUNK = 4096
"""Entries digested at once, which bounds the memory of one digestion (assumed)."""


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


class _Series:
    """Bytes per row and bin; rows are added as needed."""

    def __init__(self) -> None:
        self.cells: FloatArray = np.zeros((0, BINS))
        self.rows = 0

    def add_rows(self, count: int) -> None:
        """Make room for `count` more rows."""
        self.rows += count
        if self.rows > len(self.cells):
            cells = np.zeros((max(64, 2 * self.rows), BINS))
            cells[: len(self.cells)] = self.cells
            self.cells = cells

    def coarsen(self) -> None:
        """Put pairs of bins together."""
        half = BINS // 2
        self.cells[:, :half] = self.cells[:, 0::2] + self.cells[:, 1::2]
        self.cells[:, half:] = 0.0


class LinkMeters:
    """Collects what route sets moved and spreads it over their links.

    While the simulation runs, an entry (route set, from, to, bytes) is appended to `log`
    when a rate changes. Entries are digested in batches: bytes per route set, and bytes
    per link and time bin. All bins have one width, a power of two of a second, which
    doubles when time runs past the last bin.
    """

    def __init__(self, capacities: Sequence[float], *, origin_s: float) -> None:
        self.origin_s = origin_s
        self.log: list[float] = []
        self._capacities = np.array(capacities, dtype=float)
        self._changes: dict[int, list[tuple[float, float]]] = {}
        self._links = array("q")
        self._weights = array("d")
        self._offsets = array("q", [0])
        self._moved: FloatArray = np.zeros(0)
        self._width_s = 0.0
        self._by_link = _Series()
        self._by_route_set = _Series()
        self._row_of_link: IntArray = np.full(len(capacities), -1, dtype=np.int64)
        self._row_of_route_set: dict[int, int] = {}

    def register(self, links: Sequence[int], weights: Sequence[float]) -> None:
        """Note the links and weights of the next route set."""
        self._links.extend(links)
        self._weights.extend(weights)
        self._offsets.append(len(self._links))

    def capacity_changed(self, link: int, bytes_per_s: float, now_s: float) -> None:
        """Note a change of capacity, for the means."""
        history = self._changes.setdefault(link, [(self.origin_s, float(self._capacities[link]))])
        history.append((now_s, bytes_per_s))

    def digest(self) -> None:
        """Turn the log into sums."""
        if not self.log:
            return
        entries = np.array(self.log, dtype=float).reshape(-1, 4)
        self.log.clear()
        entries[:, 1:3] -= self.origin_s
        route_sets = entries[:, 0].astype(np.int64)
        self._moved = np.concatenate([self._moved, np.zeros(len(self._offsets) - 1 - len(self._moved))])
        self._moved += np.bincount(route_sets, weights=entries[:, 3], minlength=len(self._moved))
        self._widen(float(entries[:, 2].max()))
        for begin in range(0, len(entries), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            self._spread(route_sets[part], entries[part, 1], entries[part, 2], entries[part, 3])

    def usage(self, until_s: float, saturation: tuple[list[float], list[float], list[float]]) -> FabricUsage:
        """Return everything up to `until_s`; `saturation` as `Partition.saturation` gives it."""
        self.digest()
        flat_links, flat_weights, offsets = self._flat()
        counts = np.diff(offsets)[: len(self._moved)]
        used = int(offsets[len(self._moved)])
        moved = np.repeat(self._moved, counts) * flat_weights[:used]
        carried = np.zeros(len(self._capacities))
        np.add.at(carried, flat_links[:used], moved)
        seconds, first, last = (np.array(values, dtype=float) for values in saturation)
        never = ~np.isfinite(first)
        first[never] = last[never] = math.nan
        used_links = np.flatnonzero(carried)
        edges = self._edges(until_s)
        able = self._could_carry(np.arange(len(carried)), np.array([self.origin_s, until_s]))[:, 0]
        series = _ratio(self._series(used_links, len(edges) - 1), self._could_carry(used_links, edges))
        return FabricUsage(
            until_s=until_s,
            bytes=carried,
            mean_utilization=_ratio(carried, able),
            saturated_s=seconds,
            first_saturated_s=first,
            last_saturated_s=last,
            bin_edges_s=edges,
            used_links=used_links,
            utilization=series,
        )

    def _flat(self) -> tuple[IntArray, FloatArray, IntArray]:
        # Copies: a buffer that is exported could not grow any more.
        return np.array(self._links), np.array(self._weights), np.array(self._offsets)

    def _widen(self, end_s: float) -> None:
        """Make the bins wide enough to reach `end_s`."""
        if self._width_s == 0.0:
            self._width_s = 2.0 ** math.ceil(math.log2(max(end_s, 1e-9) / BINS))
        while self._width_s * BINS < end_s:
            self._width_s *= 2.0
            self._by_link.coarsen()
            self._by_route_set.coarsen()

    def _spread(self, route_sets: IntArray, start: FloatArray, end: FloatArray, size: FloatArray) -> None:
        """Spread entries over the bins that they overlap, then over the links."""
        width = self._width_s
        first = np.minimum((start / width).astype(np.int64), BINS - 1)
        last = np.minimum((end / width).astype(np.int64), BINS - 1)
        spans = last - first + 1
        entry = np.repeat(np.arange(len(spans)), spans)
        bins = np.arange(len(entry)) - np.repeat(np.cumsum(spans) - spans, spans) + first[entry]
        overlap = np.minimum(end[entry], (bins + 1) * width) - np.maximum(start[entry], bins * width)
        span_s = (end - start)[entry]
        share = np.divide(overlap, span_s, out=np.ones_like(overlap), where=span_s > 0.0)
        cells, inverse = np.unique(route_sets[entry] * BINS + bins, return_inverse=True)
        self._add(cells // BINS, cells % BINS, np.bincount(inverse, weights=size[entry] * share))

    def _add(self, route_sets: IntArray, bins: IntArray, size: npt.NDArray[np.number]) -> None:
        offsets = np.array(self._offsets)
        counts = offsets[route_sets + 1] - offsets[route_sets]
        large = counts >= _OWN_ROW_FROM
        self._add_own(route_sets[large], bins[large], size[large])
        small = ~large
        counts, begins = counts[small], offsets[route_sets[small]]
        entry = np.repeat(np.arange(len(counts)), counts)
        flat = np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts) + begins[entry]
        links = np.array(self._links)[flat]
        rows = self._rows(links)
        weights = np.array(self._weights)[flat]
        np.add.at(self._by_link.cells, (rows, bins[small][entry]), weights * size[small][entry])

    def _add_own(self, route_sets: IntArray, bins: IntArray, size: FloatArray) -> None:
        for route_set in np.unique(route_sets).tolist():
            if route_set not in self._row_of_route_set:
                self._row_of_route_set[route_set] = len(self._row_of_route_set)
                self._by_route_set.add_rows(1)
        rows = np.array([self._row_of_route_set[r] for r in route_sets.tolist()], dtype=np.int64)
        np.add.at(self._by_route_set.cells, (rows, bins), size)

    def _rows(self, links: IntArray) -> IntArray:
        fresh = np.unique(links[self._row_of_link[links] < 0])
        if len(fresh):
            self._row_of_link[fresh] = self._by_link.rows + np.arange(len(fresh))
            self._by_link.add_rows(len(fresh))
        return self._row_of_link[links]

    def _edges(self, until_s: float) -> FloatArray:
        """Bin edges that cover the window; the last bin ends with it."""
        if self._width_s == 0.0 or until_s <= self.origin_s:
            return np.array([self.origin_s, max(until_s, self.origin_s)])
        self._widen(until_s - self.origin_s)
        count = min(BINS, math.ceil((until_s - self.origin_s) / self._width_s))
        edges = self.origin_s + self._width_s * np.arange(count + 1)
        edges[-1] = until_s
        return edges

    def _series(self, used_links: IntArray, bins: int) -> FloatArray:
        """Bytes of each used link and bin."""
        series = np.zeros((len(used_links), BINS))
        own = self._row_of_link[used_links]
        series[own >= 0] = self._by_link.cells[own[own >= 0]]
        place = np.full(len(self._capacities), -1, dtype=np.int64)
        place[used_links] = np.arange(len(used_links))
        flat_links, flat_weights, offsets = self._flat()
        for route_set, row in self._row_of_route_set.items():
            part = slice(offsets[route_set], offsets[route_set + 1])
            series[place[flat_links[part]]] += flat_weights[part, None] * self._by_route_set.cells[row]
        return series[:, :bins]

    def _could_carry(self, links: IntArray, edges: FloatArray) -> FloatArray:
        """Bytes that each link could have carried in each bin: the integral of its capacity."""
        able = self._capacities[links][:, None] * np.diff(edges)[None, :]
        for row, link in enumerate(links.tolist()):
            if link in self._changes:
                times, values = (np.array(column) for column in zip(*self._changes[link], strict=True))
                knots = np.concatenate([[0.0], np.cumsum(np.diff(times) * values[:-1])])
                piece = np.clip(np.searchsorted(times, edges, side="right") - 1, 0, None)
                able[row] = np.diff(knots[piece] + (edges - times[piece]) * values[piece])
        return able


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
