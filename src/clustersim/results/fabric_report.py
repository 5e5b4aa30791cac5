"""What the links carried: the busiest ones, when they were saturated, totals by tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError, did_you_mean
from clustersim.results.frozen import frozen_array

if TYPE_CHECKING:
    from clustersim.engine.fabric import FabricUsage
    from clustersim.topology import Topology

__all__ = ["SATURATED", "FabricReport", "LinkUse"]

SATURATED = 0.99
"""A bin of the time series counts as saturated from this mean utilisation on."""


@dataclass(frozen=True, slots=True)
class LinkUse:
    """What one link carried over the whole run.

    `saturated_s` is the time at full capacity, exact; `saturated_intervals_s` are the runs of
    bins of the time series that were full on average, so short bursts may be missing in it.
    """

    name: str
    tier: str
    kind: str
    capacity_bytes_per_s: float
    carried_bytes: float
    mean_utilization: float
    max_utilization: float
    saturated_s: float
    first_saturated_s: float | None
    last_saturated_s: float | None
    saturated_intervals_s: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class FabricReport:
    """Use of the links that carried anything, as arrays over these links.

    Parameters
    ----------
    names, tiers, kinds
        Of the used links, `source>target`.
    capacity_bytes_per_s
        Usable rate per direction.
    carried_bytes
        Bytes over the run.
    mean_utilization
        Carried bytes / (capacity · duration).
    saturated_s
        Seconds at full capacity.
    first_saturated_s, last_saturated_s
        When that began and when it last ended; NaN for a link that never was.
    bin_edges_s
        Edges of the bins of the time series, one more than bins.
    utilization
        Mean utilisation, shape (links, bins), 0 to 1.
    duration_s
        Simulated time that means are over.
    links
        Links of the topology, used or not.
    """

    names: tuple[str, ...]
    tiers: tuple[str, ...]
    kinds: tuple[str, ...]
    capacity_bytes_per_s: np.ndarray
    carried_bytes: np.ndarray
    mean_utilization: np.ndarray
    saturated_s: np.ndarray
    first_saturated_s: np.ndarray
    last_saturated_s: np.ndarray
    bin_edges_s: np.ndarray
    utilization: np.ndarray
    duration_s: float
    links: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen_array(value))

    @classmethod
    def of(cls, usage: FabricUsage, topology: Topology) -> FabricReport:
        """Keep what the meters saw of the links that carried anything."""
        used = usage.used_links
        names, tiers, kinds = (
            tuple(values[index] for index in used)
            for values in (topology.link_names, topology.link_tier, topology.link_kind)
        )
        return cls(
            names=names,
            tiers=tiers,
            kinds=kinds,
            capacity_bytes_per_s=topology.link_bandwidth_bytes_per_s[used],
            carried_bytes=usage.bytes[used],
            mean_utilization=usage.mean_utilization[used],
            saturated_s=usage.saturated_s[used],
            first_saturated_s=usage.first_saturated_s[used],
            last_saturated_s=usage.last_saturated_s[used],
            bin_edges_s=usage.bin_edges_s,
            utilization=usage.utilization,
            duration_s=usage.until_s,
            links=len(topology.link_names),
        )

    @property
    def max_utilization(self) -> np.ndarray:
        """Largest bin of each link."""
        if self.utilization.shape[1] == 0:
            return self.mean_utilization
        return np.asarray(self.utilization.max(axis=1))

    def ranking(self) -> np.ndarray:
        """Indices of the links from the busiest on: by mean utilisation, then by name."""
        # Rounded, so that links that carry the same stand in the order of their names.
        means = self.mean_utilization.round(9).tolist()
        return np.array(sorted(range(len(means)), key=lambda i: (-means[i], self.names[i])), dtype=int)

    def busiest(self, count: int = 5) -> tuple[LinkUse, ...]:
        """Return the links with the highest mean utilisation."""
        return tuple(self._use(index) for index in self.ranking()[:count])

    def link(self, name: str) -> LinkUse:
        """Return what one link carried.

        Raises
        ------
        InputError
            If no such link carried anything.
        """
        if name not in self.names:
            raise InputError(f"no link '{name}' carried anything.{did_you_mean(name, self.names)}")
        return self._use(self.names.index(name))

    def bytes_by_tier(self) -> dict[str, float]:
        """Total bytes carried by the links of each tier, largest first."""
        total: dict[str, float] = {}
        for tier, size_bytes in zip(self.tiers, self.carried_bytes, strict=True):
            total[tier] = total.get(tier, 0.0) + float(size_bytes)
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def metrics(self) -> dict[str, float]:
        """Return the numbers of the fabric that runs are compared by; empty if nothing moved."""
        if not self.names:
            return {}
        return {
            "busiest_link_utilization.mean": float(self.mean_utilization.max()),
            "busiest_link_utilization.max": float(self.max_utilization.max()),
            "saturated_s.max": float(self.saturated_s.max()),
            "saturated_links": float(np.count_nonzero(self.saturated_s > 0)),
            "carried_bytes": float(self.carried_bytes.sum()),
        }

    def columns(self) -> Mapping[str, np.ndarray]:
        """Return one row per used link, as columns for a table."""
        return {
            "link": np.array(self.names, dtype=object),
            "tier": np.array(self.tiers, dtype=object),
            "kind": np.array(self.kinds, dtype=object),
            "capacity_bytes_per_s": self.capacity_bytes_per_s,
            "carried_bytes": self.carried_bytes,
            "mean_utilization": self.mean_utilization,
            "max_utilization": self.max_utilization,
            "saturated_s": self.saturated_s,
            "first_saturated_s": self.first_saturated_s,
            "last_saturated_s": self.last_saturated_s,
        }

    def saturated_intervals_s(self, index: int) -> tuple[tuple[float, float], ...]:
        """Return when a link (by its index here) was full: runs of bins with mean ≥ `SATURATED`."""
        full = np.concatenate(([False], self.utilization[index] >= SATURATED, [False]))
        changes = np.flatnonzero(full[1:] != full[:-1])
        edges = self.bin_edges_s[changes]
        return tuple((float(start), float(end)) for start, end in edges.reshape(-1, 2))

    def _use(self, index: int) -> LinkUse:
        first, last = float(self.first_saturated_s[index]), float(self.last_saturated_s[index])
        return LinkUse(
            name=self.names[index],
            tier=self.tiers[index],
            kind=self.kinds[index],
            capacity_bytes_per_s=float(self.capacity_bytes_per_s[index]),
            carried_bytes=float(self.carried_bytes[index]),
            mean_utilization=float(self.mean_utilization[index]),
            max_utilization=float(self.max_utilization[index]),
            saturated_s=float(self.saturated_s[index]),
            first_saturated_s=None if np.isnan(first) else first,
            last_saturated_s=None if np.isnan(last) else last,
            saturated_intervals_s=self.saturated_intervals_s(index),
        )
