"""All route sets of a fabric as flat arrays, for the meters."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["RouteTable"]


class RouteTable:
    """Links and coefficients of the route sets, one after the other; grows with `route_sets`.

    Those of route set i lie at `offsets[i]` to `offsets[i + 1]`.
    """

    def __init__(self) -> None:
        self.route_sets: list[RouteSet] = []
        """In the order of their indices; whoever makes one appends it."""
        self._links: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._coefficients: npt.NDArray[np.floating] = np.zeros(0)
        self._offsets: npt.NDArray[np.int64] = np.zeros(1, dtype=np.int64)

    @property
    def links(self) -> npt.NDArray[np.int64]:
        """Link of each entry."""
        self._catch_up()
        return self._links

    @property
    def coefficients(self) -> npt.NDArray[np.floating]:
        """Consumption of that link per unit of the shared variable."""
        self._catch_up()
        return self._coefficients

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each route set begins, and where the last ends."""
        self._catch_up()
        return self._offsets

    def entries(
        self, route_sets: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the entries of these route sets, and for each the place of its route set among them."""
        begins = self.offsets[route_sets]
        counts = self.offsets[route_sets + 1] - begins
        of = np.repeat(np.arange(len(counts)), counts)
        return np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts) + begins[of], of

    def _catch_up(self) -> None:
        """Flatten the route sets that came since."""
        known = len(self._offsets) - 1
        if known == len(self.route_sets):
            return
        fresh = self.route_sets[known:]
        counts = np.fromiter((len(route_set.links) for route_set in fresh), np.int64, len(fresh))
        ends = self._offsets[-1] + np.cumsum(counts)
        size = int(counts.sum())
        links = np.fromiter(chain.from_iterable(r.links for r in fresh), np.int64, size)
        coefficients = np.fromiter(chain.from_iterable(r.coefficients for r in fresh), np.float64, size)
        self._links = np.concatenate([self._links, links])
        self._coefficients = np.concatenate([self._coefficients, coefficients])
        self._offsets = np.concatenate([self._offsets, ends])
