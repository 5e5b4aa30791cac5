"""The world of one run: one clock, one topology, its resources, one trace."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from functools import cached_property
from typing import Any

import numpy as np
import simpy

from clustersim.engine.devices import Gpu, Node
from clustersim.engine.fabric import Fabric, Link
from clustersim.engine.trace import NETWORK_LATENCY, NO_CAUSE, Trace, link_resource
from clustersim.topology import Topology

__all__ = ["World"]


class World:
    """A topology turned into simpy resources on one clock.

    Parameters
    ----------
    topology
        Checked topology; its links become `links`, its GPUs `gpus`.
    seed
        Root of all randomness; see `random`.
    keep_trace
        False keeps no activities (critical paths and Gantt are then not available).
    """

    def __init__(self, topology: Topology, *, seed: int = 0, keep_trace: bool = True) -> None:
        self.env = simpy.Environment()
        self.topology = topology
        self.seed = seed
        self.trace = Trace(keep=keep_trace)
        self.fabric = Fabric(
            self.env, topology.link_bandwidth_bytes_per_s.tolist(), names=topology.link_names
        )
        self.gpus = {name: Gpu(self.env, name, topology.memory_bytes(name)) for name in topology.gpus}
        self.nodes = {
            name: Node(self.env, name, [self.gpus[gpu] for gpu in gpus])
            for name, gpus in topology.gpus_by_node.items()
        }

    @cached_property
    def links(self) -> dict[str, Link]:
        """Every link as a simpy resource, by its name `source>target`."""
        return {name: Link(self.fabric, index) for index, name in enumerate(self.topology.link_names)}

    def random(self, *names: str | int) -> np.random.Generator:
        """Return the random stream of one source, e.g. `random("chat", "arrivals")`.

        Streams are spawned from the seed by name, so that two variants of a scenario
        draw the same numbers for the same source (common random numbers).
        """
        key = tuple(zlib.crc32(str(name).encode()) for name in names)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def transfer(
        self,
        source: str,
        target: str,
        size_bytes: float,
        *,
        lane: str = "transfers",
        label: str = "",
        cause: int = NO_CAUSE,
        connection: int = 0,
    ) -> simpy.Process:
        """Move bytes from one vertex to another, sharing the links on the way.

        The first byte arrives after the sum of the links' latencies; then the bytes take
        their max-min fair share. The process's value is the row in the trace.
        `connection` tells ECMP which of several parallel connections this is.
        """
        return self.env.process(self._transfer(source, target, size_bytes, lane, label, cause, connection))

    def _transfer(
        self, source: str, target: str, size_bytes: float, lane: str, label: str, cause: int, connection: int
    ) -> Generator[simpy.Event, Any, int]:
        start_s = self.env.now
        route = self.topology.route(source, target, connection=connection)
        latency_s = self.topology.latency_s(route)
        if latency_s:
            yield self.env.timeout(latency_s)
        shares = {NETWORK_LATENCY: latency_s}
        if route and size_bytes:
            flow = self.fabric.start(self.fabric.route_set(route), size_bytes)
            yield flow
            for link, seconds in flow.held_by().items():
                shares[link_resource(self.topology.link_names[link])] = seconds
        return self.trace.record(
            "transfer", lane, label or f"{source}>{target}", start_s, self.env.now, cause=cause, shares=shares
        )
