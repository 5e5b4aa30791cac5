"""Bytes per link and time bin, in bounded memory."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clustersim.engine.fabric.route_table import RouteTable

__all__ = ["LinkSeries"]

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

BINS = 256
"""Bins of the utilisation series; when they are full their width doubles (assumed)."""
_OWN_ROW_FROM = 64
"""Route sets with at least so many links keep a series of their own, spread out at the end (assumed)."""
_CHUNK = 4096
"""Entries digested at once, which bounds the memory of one digestion (assumed)."""
_SHORTEST = 1e-6
"""The last bin lasts at least this part of the others (assumed)."""


class _Cells:
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

    def add(self, rows: IntArray, bins: IntArray, amounts: FloatArray) -> None:
        """Add to cells; one may occur several times."""
        np.add.at(self.cells.reshape(-1), rows * BINS + bins, amounts)  # one index is much faster than two

    def coarsen(self) -> None:
        """Put pairs of bins together."""
        half = BINS // 2
        self.cells[:, :half] = self.cells[:, 0::2] + self.cells[:, 1::2]
        self.cells[:, half:] = 0.0


class LinkSeries:
    """What every link carried in each time bin, from time zero on.

    All bins have one width, a power of two of a second, which doubles when time runs past the
    last bin.
    """

    def __init__(self, table: RouteTable, links: int) -> None:
        self._table = table
        self._width_s = 0.0
        self._by_link = _Cells()
        self._by_route_set = _Cells()
        self._row_of_link: IntArray = np.full(links, -1, dtype=np.int64)
        self._row_of_route_set: dict[int, int] = {}

    def add(self, route_sets: IntArray, start: FloatArray, end: FloatArray, size: FloatArray) -> None:
        """Add what route sets moved, evenly from `start` to `end`."""
        self._widen(float(end.max()))
        for begin in range(0, len(route_sets), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            self._spread(route_sets[part], start[part], end[part], size[part])

    def edges(self, until_s: float) -> FloatArray:
        """Bin edges that cover the window from zero; the last bin ends with it."""
        if self._width_s == 0.0 or until_s <= 0.0:
            return np.array([0.0, max(until_s, 0.0)])
        self._widen(until_s)
        # No bin of a rounding error at the end: what it has cannot be told from the one before.
        count = max(1, min(BINS, math.ceil(until_s / self._width_s - _SHORTEST)))
        edges = self._width_s * np.arange(count + 1)
        edges[-1] = until_s
        return edges

    def of_links(self, used_links: IntArray, bins: int) -> FloatArray:
        """Bytes of each of these links in each of the bins that `edges` gave."""
        series = np.zeros((len(used_links), BINS))
        own = self._row_of_link[used_links]
        series[own >= 0] = self._by_link.cells[own[own >= 0]]
        place = np.full(len(self._row_of_link), -1, dtype=np.int64)
        place[used_links] = np.arange(len(used_links))
        table = self._table
        offsets = table.offsets
        for route_set, row in self._row_of_route_set.items():
            part = slice(offsets[route_set], offsets[route_set + 1])
            rows, cells = place[table.links[part]], self._by_route_set.cells[row]
            series[rows] += table.coefficients[part, None] * cells
        series[:, bins - 1] += series[:, bins:].sum(axis=1)
        return series[:, :bins]

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
        self._add(route_sets[entry], bins, size[entry] * share)

    def _add(self, route_sets: IntArray, bins: IntArray, size: FloatArray) -> None:
        offsets = self._table.offsets
        large = offsets[route_sets + 1] - offsets[route_sets] >= _OWN_ROW_FROM
        self._add_own(route_sets[large], bins[large], size[large])
        small = ~large
        entries, of = self._table.entries(route_sets[small])
        rows = self._rows(self._table.links[entries])
        amounts = self._table.coefficients[entries] * size[small][of]
        self._by_link.add(rows, bins[small][of], amounts)

    def _add_own(self, route_sets: IntArray, bins: IntArray, size: FloatArray) -> None:
        for route_set in np.unique(route_sets).tolist():
            if route_set not in self._row_of_route_set:
                self._row_of_route_set[route_set] = len(self._row_of_route_set)
                self._by_route_set.add_rows(1)
        rows = np.array([self._row_of_route_set[r] for r in route_sets.tolist()], dtype=np.int64)
        self._by_route_set.add(rows, bins, size)

    def _rows(self, links: IntArray) -> IntArray:
        fresh = np.unique(links[self._row_of_link[links] < 0])
        if len(fresh):
            self._row_of_link[fresh] = self._by_link.rows + np.arange(len(fresh))
            self._by_link.add_rows(len(fresh))
        return self._row_of_link[links]
