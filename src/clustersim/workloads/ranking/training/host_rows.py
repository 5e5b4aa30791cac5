"""Rows of tables that lie in host memory on their way to each GPU and back: a transfer of each rank's own."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from clustersim.engine.fabric import DEFAULT_TRAFFIC, TrafficClass
from clustersim.engine.trace import NETWORK_LATENCY, link_resource

if TYPE_CHECKING:
    from clustersim.engine.world import World

__all__ = ["HostRows", "Moved"]

Moved = tuple[np.ndarray, np.ndarray, Sequence[Mapping[str, float]]]
"""When each rank began and ended, and its seconds by resource."""


class HostRows:
    """Moves bytes between each GPU and its host, from when each rank can begin.

    Parameters
    ----------
    pairs
        Host and GPU of each rank.
    """

    def __init__(
        self,
        world: World,
        pairs: Sequence[tuple[str, str]],
        *,
        owner: str,
        traffic: TrafficClass = DEFAULT_TRAFFIC,
    ) -> None:
        self._world = world
        self._pairs = pairs
        self._owner = owner
        self._traffic = traffic

    def move(self, came_s: np.ndarray, size_bytes: np.ndarray, *, back: bool) -> simpy.Event:
        """Start; the event's value is starts, ends and seconds by resource of each rank."""
        return self._world.env.process(self._all(came_s, size_bytes, back))

    def _all(
        self, came_s: np.ndarray, size_bytes: np.ndarray, back: bool
    ) -> Generator[simpy.Event, Any, Moved]:
        env = self._world.env
        ranks = range(len(self._pairs))
        moves = [
            env.process(self._one(rank, float(came_s[rank]), float(size_bytes[rank]), back)) for rank in ranks
        ]
        yield env.all_of(moves)
        ends_s = np.array([move.value for move in moves])
        shares = [
            self._shares(rank, float(ends_s[rank] - came_s[rank]), bool(size_bytes[rank])) for rank in ranks
        ]
        return came_s, ends_s, shares

    def _one(
        self, rank: int, came_s: float, size_bytes: float, back: bool
    ) -> Generator[simpy.Event, Any, float]:
        world = self._world
        if not size_bytes:
            return came_s
        if came_s > world.env.now:
            yield world.env.timeout(came_s - world.env.now)
        source, target = self._pairs[rank][::-1] if back else self._pairs[rank]
        lane = f"{self._owner}/host rows"
        yield world.transfer(source, target, size_bytes, lane=lane, owner=self._owner, traffic=self._traffic)
        return world.env.now

    def _shares(self, rank: int, seconds: float, moved: bool) -> Mapping[str, float]:
        """Give the time to latency and to the thinnest link on the way."""
        if not moved:
            return {NETWORK_LATENCY: seconds}
        topology = self._world.topology
        path = topology.path(*self._pairs[rank])
        thinnest = min(path.links, key=lambda link: topology.link_bandwidth_bytes_per_s[link])
        latency_s = min(path.latency_s, seconds)
        return {
            NETWORK_LATENCY: latency_s,
            link_resource(topology.link_names[thinnest]): seconds - latency_s,
        }
