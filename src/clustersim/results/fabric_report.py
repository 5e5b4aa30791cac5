"""What the links carried: the busiest ones, when they were saturated, totals by tier."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError, did_you_mean
from clustersim.results.frozen import FrozenMapping, frozen_array
from clustersim.results.link_sharing import LinkSharing

if TYPE_CHECKING:
    from clustersim.engine.fabric import FabricUsage
    from clustersim.engine.world import World
    from clustersim.topology import Topology

__all__ = ["SATURATED", "FabricReport", "LinkUse"]

SATURATED = 0.99
"""A bin of the time series counts as saturated from this mean utilisation on."""


@dataclass(frozen=True, slots=True)
class LinkUse:
    """What one link carried over the whole run.

    `saturated_s` is the time at full capacity, exact; `saturated_intervals_s` are the runs of
    bins of the time series that were full on average, so short bursts may be missing in it.
    `protocol_bound_s` is the longest that one workload's collectives ran at the rate of their own
    protocol with this link as the slowest: it held them back, full or not. `shared_by` is bytes
    by workload, most first.
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
    protocol_bound_s: float
    shared_by: Mapping[str, float]


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
    sharing
        Who moved how much over each used link, and was held back by it how long.
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
    sharing: LinkSharing = field(default_factory=LinkSharing.nothing)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen_array(value))

    @classmethod
    def of_world(cls, world: World, *, workloads: Collection[str] = ()) -> FabricReport:
        """Keep what the meters of a world saw up to now, and which of the `workloads` shared its links."""
        usage = world.fabric.usage(world.env.now)
        used = usage.used_links.tolist()
        sharing = LinkSharing.of(world.fabric.moved_bytes(), world.link_waits.by_place, used, workloads)
        return cls.of(usage, world.topology, sharing=sharing)

    @classmethod
    def of(
        cls, usage: FabricUsage, topology: Topology, *, sharing: LinkSharing | None = None
    ) -> FabricReport:
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
            sharing=sharing or LinkSharing.nothing(),
        )

    @property
    def max_utilization(self) -> np.ndarray:
        """Largest bin of each link."""
        if self.utilization.shape[1] == 0:
            return self.mean_utilization
        return np.asarray(self.utilization.max(axis=1))

    @cached_property
    def protocol_bound_s(self) -> np.ndarray:
        """Longest of one workload at the rate of its own protocol, by link (see `LinkUse`)."""
        return frozen_array(self.sharing.longest_by_link("protocol_bound_s", len(self.names)))

    def ranking(self) -> np.ndarray:
        """Indices of the links from the busiest on: by mean utilisation, then by name."""
        # Rounded, so that links that carry the same stand in the order of their names.
        means = self.mean_utilization.round(9).tolist()
        return np.array(sorted(range(len(means)), key=lambda i: (-means[i], self.names[i])), dtype=int)

    def busiest(self, count: int = 5) -> tuple[LinkUse, ...]:
        """Return the links with the highest mean utilisation."""
        return tuple(self._use(index) for index in self.ranking()[:count])

    def alike(self, count: int = 5, *, fullest: int = 0) -> tuple[tuple[LinkUse, int], ...]:
        """Return the busiest links with how many more are like each: of its tier, capacity and use.

        Alike are mean utilisation and saturated time to three digits. Where alike links held
        somebody back for different times, the one that did so longest stands for them.

        Parameters
        ----------
        count
            Links to return, by mean utilisation.
        fullest
            Further ones, of those that were at full capacity longest, which need not be busy on average.
        """
        if not self.names:
            return ()
        group_of, sizes = self._looks()
        ranking = self.ranking().tolist()
        by_fullness = sorted(
            (index for index in ranking if self.saturated_s[index] > 0),
            key=lambda index: -self.saturated_s[index],
        )
        chosen = _first_of_groups(ranking, group_of, count)
        chosen += _first_of_groups(by_fullness, group_of, fullest, without=group_of[chosen])
        return tuple(
            (self._use(self._stands_for(index, group_of)), int(sizes[group_of[index]]) - 1)
            for index in chosen
        )

    def _looks(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the group of links that look alike that each is in, and the groups' sizes."""
        tiers = np.unique(np.array(self.tiers, dtype=object), return_inverse=True)[1]
        values = (self.capacity_bytes_per_s, self.mean_utilization, self.saturated_s)
        looks = np.stack([tiers, *map(_three_digits, values)], axis=1)
        group_of = np.unique(looks, axis=0, return_inverse=True)[1].ravel()
        return group_of, np.bincount(group_of)

    def _stands_for(self, index: int, group_of: np.ndarray) -> int:
        """Return the link of a group that held a workload back longest; `index` where none did."""
        group = np.flatnonzero(group_of == group_of[index])
        longest = int(group[self.protocol_bound_s[group].argmax()])
        return longest if self.protocol_bound_s[longest] > self.protocol_bound_s[index] else index

    def link(self, name: str) -> LinkUse:
        """Return what one link carried.

        Raises
        ------
        InputError
            If no such link carried anything.
        """
        return self._use(self._index(name))

    def shared_by(self, name: str) -> dict[str, float]:
        """Return the bytes that each workload moved over one link, most first.

        `sharing` has them by kind of traffic, too; `(no workload)` is what moved in nobody's name.

        Raises
        ------
        InputError
            If no such link carried anything.
        """
        return self.sharing.by_workload(self._index(name), "carried_bytes")

    def held_back_s(self, workload: str, name: str) -> tuple[float, float]:
        """Return how long a link held a workload back by being full, and at its protocol's rate.

        Raises
        ------
        InputError
            If no such link carried anything.
        """
        index = self._index(name)
        by_full, by_protocol = (
            self.sharing.by_workload(index, column) for column in ("held_back_s", "protocol_bound_s")
        )
        return by_full.get(workload, 0.0), by_protocol.get(workload, 0.0)

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise InputError(f"no link '{name}' carried anything.{did_you_mean(name, self.names)}")
        return self.names.index(name)

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
            "protocol_bound_s.max": float(self.protocol_bound_s.max()),
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
            "protocol_bound_s": self.protocol_bound_s,
        }

    def sharing_columns(self) -> Mapping[str, np.ndarray]:
        """Return one row per used link, owner and kind of traffic, as columns for a table."""
        sharing = self.sharing
        carried_bytes = self.carried_bytes[sharing.link]
        return {
            "link": np.array(self.names, dtype=object)[sharing.link],
            "workload": np.array(sharing.workload, dtype=object),
            "owner": np.array(sharing.owner, dtype=object),
            "traffic": np.array(sharing.traffic, dtype=object),
            "carried_bytes": sharing.carried_bytes,
            "share": sharing.carried_bytes / carried_bytes,
            "held_back_s": sharing.held_back_s,
            "protocol_bound_s": sharing.protocol_bound_s,
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
            protocol_bound_s=float(self.protocol_bound_s[index]),
            shared_by=FrozenMapping(self.sharing.by_workload(index, "carried_bytes")),
        )


def _three_digits(values: np.ndarray) -> np.ndarray:
    scale = 10.0 ** (2.0 - np.floor(np.log10(np.where(values > 0, values, 1.0))))
    return np.asarray(np.round(values * scale) / scale)


def _first_of_groups(
    order: Iterable[int], group_of: np.ndarray, count: int, *, without: np.ndarray | None = None
) -> list[int]:
    """Return the first link of each of the first `count` groups in an order."""
    seen = set() if without is None else set(without.tolist())
    chosen: list[int] = []
    for index in order:
        if len(chosen) == count:
            break
        if group_of[index] not in seen:
            seen.add(group_of[index])
            chosen.append(index)
    return chosen
