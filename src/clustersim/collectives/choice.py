"""What a collective of a kind and size runs with: the fastest alone of its plans and protocols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from clustersim.collectives.algorithms import ALGORITHMS, plans
from clustersim.collectives.connections import Connections
from clustersim.collectives.direct import uneven_plans
from clustersim.collectives.group import Group, check_side_by_side
from clustersim.collectives.kinds import Kind, parse_kind
from clustersim.collectives.macro import Schedule, schedule
from clustersim.collectives.plan import Plan
from clustersim.collectives.side_by_side import merged
from clustersim.collectives.user_algorithm import UserAlgorithm
from clustersim.errors import InputError, did_you_mean
from clustersim.topology import Topology

__all__ = ["Chooser", "Pick", "chooser_for"]

_KEPT_MATRICES = 1024


class Pick(NamedTuple):
    """A schedule and protocol, and how long it takes alone."""

    schedule: Schedule
    protocol: str
    alone_s: float


_KEPT_CHOOSERS = 1024
"""Choosers that a topology keeps: plans depend on the topology and the ranks alone, so worlds share them."""


def chooser_for(
    topology: Topology,
    ranks: Sequence[Sequence[str]],
    *,
    channels: int | None,
    chunks: int | None,
    algorithm: str | UserAlgorithm,
) -> Chooser:
    """Return the chooser of groups side by side; the same one for the same arguments.

    Under adaptive routing, where the paths of connections depend on those laid before, and for
    algorithms of the user's, each call makes its own.

    Raises
    ------
    InputError
        As `Communicator`.
    """
    if topology.routing == "adaptive" or not isinstance(algorithm, str):
        return _chooser(topology, ranks, channels, chunks, algorithm)
    kept: dict[object, Chooser] = topology.memo.setdefault("choosers", {})
    key = (tuple(map(tuple, ranks)), channels, chunks, algorithm)
    found = kept.get(key)
    if found is None:
        if len(kept) >= _KEPT_CHOOSERS:
            kept.clear()
        found = kept[key] = _chooser(topology, ranks, channels, chunks, algorithm)
    return found


def _chooser(
    topology: Topology,
    ranks: Sequence[Sequence[str]],
    channels: int | None,
    chunks: int | None,
    algorithm: str | UserAlgorithm,
) -> Chooser:
    connections = Connections(topology)
    groups = [
        Group(topology, each, channels=channels, chunks=chunks, connections=connections) for each in ranks
    ]
    check_side_by_side(groups)
    return Chooser(groups, algorithm)


class Chooser:
    """Plans collectives of a group, each kind once, and picks by size.

    Parameters
    ----------
    groups
        The group, and those of equal size that do the same side by side with it.
    algorithm
        `auto`, a name of `ALGORITHMS`, or an algorithm of the user's, which is checked here.

    Raises
    ------
    InputError
        For an unknown algorithm, and one of the user's that does not do what it says.
    """

    def __init__(self, groups: Sequence[Group], algorithm: str | UserAlgorithm) -> None:
        if isinstance(algorithm, str) and algorithm != "auto" and algorithm not in ALGORITHMS:
            known = ("auto", *ALGORITHMS)
            raise InputError(f"unknown collective algorithm '{algorithm}'.{did_you_mean(algorithm, known)}")
        self.groups = tuple(groups)
        self.group = self.groups[0]
        self.algorithm = algorithm
        self._schedules: dict[str, tuple[Schedule, ...]] = {}
        self._matrices: dict[bytes, int] = {}
        if not isinstance(algorithm, str):
            self._schedules[algorithm.kind] = _some(self._scheduled(algorithm.plans), "that of one's own")

    def candidates(self, kind: str) -> tuple[Schedule, ...]:
        """Return the schedules to choose from for a kind of collective.

        Raises
        ------
        InputError
            For an unknown kind, a rank that is not there, or an algorithm that cannot run it.
        """
        found = self._schedules.get(kind)
        if found is None:
            parsed = parse_kind(kind)
            self._check_ranks(parsed)
            found = self._schedules[kind] = self._planned(parsed)
        return found

    def _planned(self, kind: Kind) -> tuple[Schedule, ...]:
        name = self.algorithm if isinstance(self.algorithm, str) else "auto"
        found = self._scheduled(lambda group: plans(group, kind, name))
        if not found and name in ALGORITHMS and ALGORITHMS[name].falls_back:
            # Where some groups fall back on what NCCL takes instead, all do.
            return self._scheduled(lambda group: plans(group, kind, "ring"))
        return _some(found, name)

    def _scheduled(self, plans_of: Callable[[Group], Sequence[Plan]]) -> tuple[Schedule, ...]:
        capacities = self.group.topology.link_bandwidth_bytes_per_s
        return tuple(schedule(plan, capacities) for plan in merged([*map(plans_of, self.groups)]))

    def _check_ranks(self, kind: Kind) -> None:
        for rank in kind.ranks:
            self.check_rank(rank)

    def check_rank(self, rank: int) -> None:
        """Raise `InputError` for a rank that is not there."""
        if not 0 <= rank < len(self.group):
            raise InputError(f"rank {rank} is not among the {len(self.group)} ranks 0…{len(self.group) - 1}")

    def uneven(self, bytes_by_pair: ArrayLike) -> tuple[str, float]:
        """Return the kind under which an all-to-all of unequal messages is kept, and its bytes in all.

        Raises
        ------
        InputError
            For anything but a square of numbers from zero, one row and column per rank.
        """
        ranks = len(self.group)
        matrix = np.array(bytes_by_pair, dtype=float)
        if matrix.shape != (ranks, ranks) or not np.isfinite(matrix).all() or (matrix < 0).any():
            raise InputError(
                f"an all-to-all-v of {ranks} ranks takes {ranks} × {ranks} numbers of bytes from zero, "
                f"row i what rank i sends; got an array of shape {matrix.shape}"
            )
        np.fill_diagonal(matrix, 0.0)
        total = float(matrix.sum())
        if total == 0.0:
            return "all_to_all_v", 0.0
        parts = matrix / total
        number = self._matrices.setdefault(parts.tobytes(), len(self._matrices))
        kind = f"all_to_all_v:{number}"
        if kind not in self._schedules:
            self._forget_matrices()
            self._schedules[kind] = self._scheduled(lambda group: uneven_plans(group, parts))
        return kind, total

    def _forget_matrices(self) -> None:
        kept = [kind for kind in self._schedules if kind.startswith("all_to_all_v:")]
        if len(kept) >= _KEPT_MATRICES:
            del self._schedules[kept[0]]

    def pick(self, kind: str, size_bytes: float) -> Pick:
        """Return what takes least time alone."""
        return min(
            (
                Pick(candidate, protocol, candidate.alone_s(size_bytes, protocol))
                for candidate in self.candidates(kind)
                for protocol in candidate.start_s
            ),
            key=lambda option: option.alone_s,
        )


def _some(found: tuple[Schedule, ...], name: str) -> tuple[Schedule, ...]:
    if not found:
        raise InputError(
            f"groups of unlike shape cannot run the algorithm '{name}' in lockstep: it goes through other "
            "phases in one than in another; take 'auto', or one communicator for each group"
        )
    return found
