"""Who used each link: bytes by workload and kind of traffic, and how long it held them back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from clustersim.engine.owners import whole_of
from clustersim.results.frozen import frozen_array

if TYPE_CHECKING:
    from clustersim.engine.fabric import RouteSet
    from clustersim.engine.link_waits import LinkWait

__all__ = ["NO_WORKLOAD", "TRANSFER", "HeldBack", "LinkSharing", "workload_of"]

NO_WORKLOAD = "(no workload)"
"""Stands for what moves bytes in nobody's name."""
TRANSFER = "transfer"
"""Kind of traffic that says nothing else of itself: bytes from one vertex to another."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """How long one link held back one kind of traffic, and why.

    Parameters
    ----------
    link
        Index of the link among the used ones.
    owner, workload, traffic
        Whom, as in `LinkSharing`.
    by_protocol
        True: at the rate of its own protocol, on the slowest link of its way. False: because the
        link was full.
    seconds
        How long.
    """

    link: int
    owner: str
    workload: str
    traffic: str
    by_protocol: bool
    seconds: float


Place = tuple[str, str, int]
"""Owner, kind of traffic, link."""


@dataclass(frozen=True, eq=False)
class LinkSharing:
    """One row per used link, owner and kind of traffic; by link, then most bytes first.

    Parameters
    ----------
    link
        Index of the link among the used ones.
    owner
        Who moved bytes: a workload, or one of its replicas (`chat.1`).
    workload
        Whose that is.
    traffic
        What for: `all-reduce`, `transfer`, …
    carried_bytes
        Bytes of it that crossed the link.
    held_back_s
        Seconds in which it was held back because the link was full.
    protocol_bound_s
        Seconds in which it was held back at the rate of its own protocol, with this link as the
        slowest on its way: a collective leaves a part of every link unused whatever else happens.

    Checked by: tests/results/test_link_sharing.py (rows of a link add up to its bytes).
    """

    link: np.ndarray
    owner: tuple[str, ...]
    workload: tuple[str, ...]
    traffic: tuple[str, ...]
    carried_bytes: np.ndarray
    held_back_s: np.ndarray
    protocol_bound_s: np.ndarray

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, field.name, frozen_array(value))

    @classmethod
    def of(
        cls,
        moved: Iterable[tuple[RouteSet, float]],
        waits: Mapping[Place, LinkWait],
        used: Sequence[int],
        workloads: Collection[str] = (),
    ) -> LinkSharing:
        """Add up what route sets moved over the `used` links (ascending), and who waited for them.

        `moved` is bytes of each route set's variable, `waits` by owner, traffic and link;
        `workloads` are the names that owners belong to.
        """
        sums = _sums(moved)
        row_of = {link: row for row, link in enumerate(used)}
        places = [place for place, size_bytes in sums.items() if size_bytes > 0 and place[2] in row_of]
        places.sort(key=lambda place: (place[2], -sums[place], place))
        found = [waits.get(place) for place in places]
        return cls(
            link=np.array([row_of[link] for _, _, link in places], dtype=np.int64),
            owner=tuple(owner or NO_WORKLOAD for owner, _, _ in places),
            workload=tuple(workload_of(owner, workloads) for owner, _, _ in places),
            traffic=tuple(traffic for _, traffic, _ in places),
            carried_bytes=np.array([sums[place] for place in places]),
            held_back_s=np.array([wait.full_s if wait else 0.0 for wait in found]),
            protocol_bound_s=np.array([wait.protocol_s if wait else 0.0 for wait in found]),
        )

    @classmethod
    def nothing(cls) -> LinkSharing:
        """Return the rows of a network that carried nothing."""
        return cls.of((), {}, ())

    def by_workload(self, link: int, column: str) -> dict[str, float]:
        """Add up a column over kinds of traffic on one link (its index here), largest first."""
        begin, end = np.searchsorted(self.link, (link, link + 1))
        values = getattr(self, column)
        total: dict[str, float] = {}
        for row in range(begin, end):
            name = self.workload[row]
            total[name] = total.get(name, 0.0) + float(values[row])
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def held_back(self) -> list[HeldBack]:
        """Return who was held back where and why, longest first."""
        why = ((False, self.held_back_s), (True, self.protocol_bound_s))
        found = [
            HeldBack(int(self.link[row]), *self._who(row), by_protocol, float(values[row]))
            for by_protocol, values in why
            for row in np.flatnonzero(values).tolist()
        ]
        return sorted(found, key=lambda each: (-each.seconds, each.link, each.owner))

    def _who(self, row: int) -> tuple[str, str, str]:
        return self.owner[row], self.workload[row], self.traffic[row]

    def longest_by_link(self, column: str, links: int) -> np.ndarray:
        """Return for each link the largest sum of a column that one owner has there."""
        sums: dict[tuple[int, str], float] = {}
        values = getattr(self, column)
        for row in np.flatnonzero(values).tolist():
            key = (int(self.link[row]), self.owner[row])
            sums[key] = sums.get(key, 0.0) + float(values[row])
        longest = np.zeros(links)
        for (link, _), value in sums.items():
            longest[link] = max(longest[link], value)
        return longest


def workload_of(owner: str, workloads: Collection[str]) -> str:
    """Return the workload of an owner: its own name, or what stands before the number of a replica."""
    stem = owner.rpartition(".")[0]
    return stem if owner not in workloads and stem in workloads else owner or NO_WORKLOAD


def _sums(moved: Iterable[tuple[RouteSet, float]]) -> dict[Place, float]:
    """Return bytes by owner, traffic and link."""
    groups: dict[tuple[str, str], list[tuple[RouteSet, float]]] = {}
    for route_set, size_bytes in moved:
        group = (whole_of(route_set.owner), route_set.purpose or TRANSFER)
        groups.setdefault(group, []).append((route_set, size_bytes))
    sums: dict[Place, float] = {}
    for (owner, traffic), use in groups.items():
        links = np.concatenate([np.array(route_set.links, dtype=np.int64) for route_set, _ in use])
        carried = np.concatenate([size_bytes * np.array(route_set.weights) for route_set, size_bytes in use])
        used, place = np.unique(links, return_inverse=True)
        totals = np.bincount(place, weights=carried, minlength=len(used)).tolist()
        sums |= {(owner, traffic, link): total for link, total in zip(used.tolist(), totals, strict=True)}
    return sums
