"""Bytes between each GPU and its host: batches, and rows of tables that lie in host memory."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from clustersim.engine.fabric import DEFAULT_TRAFFIC, TrafficClass
from clustersim.engine.trace import HOST, NETWORK_LATENCY, link_resource

if TYPE_CHECKING:
    from clustersim.engine.world import World

__all__ = ["HostLinks", "Moved"]

Moved = tuple[np.ndarray, np.ndarray, Sequence[Mapping[str, float]]]
"""When each rank began and ended, and its seconds by resource."""

_PURPOSE = "host copy"


class HostLinks:
    """Moves bytes between each GPU and its host: a flow for each rank, from when that rank can begin.

    *Equation.* As `World.transfer`: message overhead, latency, then bytes at the max-min fair rate.

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
        """Start; the event's value is starts, ends and seconds by resource of each rank (`Moved`)."""
        return self._world.env.process(self._all(came_s, size_bytes, back))

    def _all(
        self, came_s: np.ndarray, size_bytes: np.ndarray, back: bool
    ) -> Generator[simpy.Event, Any, Moved]:
        env = self._world.env
        moves = [
            env.process(self._one(rank, float(came_s[rank]), float(size_bytes[rank]), back))
            for rank in range(len(self._pairs))
        ]
        yield env.all_of(moves)
        ends_s, shares = zip(*(move.value for move in moves), strict=True)
        return came_s, np.array(ends_s), shares

    def _one(
        self, rank: int, came_s: float, size_bytes: float, back: bool
    ) -> Generator[simpy.Event, Any, tuple[float, Mapping[str, float]]]:
        world, env = self._world, self._world.env
        if not size_bytes:
            return came_s, {}
        if came_s > env.now:
            yield env.timeout(came_s - env.now)
        path = world.topology.path(*(self._pairs[rank][::-1] if back else self._pairs[rank]))
        overhead_s = world.topology.message_overhead_s(path.links)
        if overhead_s + path.latency_s:
            yield env.timeout(overhead_s + path.latency_s)
        weights = None if path.plain else path.flow_weights
        route_set = world.fabric.route_set(path.links, weights, owner=self._owner, traffic=self._traffic)
        route_set.use_for(_PURPOSE)
        flow = world.fabric.start(route_set, size_bytes / path.connections)
        yield flow
        shares = {HOST: overhead_s, NETWORK_LATENCY: path.latency_s}
        for link, seconds in flow.held_by().items():
            shares[link_resource(world.topology.link_names[link])] = seconds
            world.link_waits.add(self._owner, _PURPOSE, link, until_s=env.now, full_s=seconds)
        return env.now, shares
