"""Which collectives of one job can get in each other's way: those that share links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Literal

from clustersim.workloads.training.network import Network, Place

__all__ = ["Use", "link_conflicts"]

Use = Literal["apart", "beside replicas", "shared"]
"""Nobody else of the job uses the links; only what its replicas say to each other; others too."""

_BLOCKING = frozenset({"tensor", "context", "expert", "expert_tensor"})
_AT_THE_END = frozenset({"model", "embedding"})
"""Run when no pass does."""


def link_conflicts(network: Network) -> dict[Place, Use]:
    """Say for each collective between the passes of a lane who else of the job uses its links.

    Lanes of their own run side by side, and sends (to hosts too) come at any time; what replicas say to
    each other runs at times that a lane's program tells. Collectives of one lane wait for each other.

    **Valid when** all communicators have planned all that they will run.
    **Checked by:** tests/workloads/test_training_link_conflicts.py.
    """
    users: dict[int, set[tuple[int, int] | str]] = defaultdict(set)
    blocking: dict[Place, Collection[int]] = {}
    for place, communicator in network.communicators():
        dimension, stage, replica = place
        if dimension in _AT_THE_END:
            continue
        links = communicator.links
        user: tuple[int, int] | str = "replicas"
        if dimension in ("pipeline", "host_down", "host_up"):
            user = "sends"
        elif dimension in _BLOCKING:
            blocking[place] = links
            user = (stage, replica)
        for link in links:
            users[link].add(user)
    return {place: _use(place, links, users) for place, links in blocking.items()}


def _use(place: Place, links: Collection[int], users: dict[int, set[tuple[int, int] | str]]) -> Use:
    met: set[tuple[int, int] | str] = set()
    for link in links:
        met |= users[link]
    met.discard((place[1], place[2]))
    if not met:
        return "apart"
    return "beside replicas" if met == {"replicas"} else "shared"
