"""The world of one run: one clock, one topology, its resources, one trace."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator
from functools import cached_property
from typing import Any

import numpy as np
import simpy

from clustersim.engine.devices import Gpu, Node
from clustersim.engine.fabric import DEFAULT_TRAFFIC, Fabric, Link, TrafficClass
from clustersim.engine.link_use import LinkUse
from clustersim.engine.link_waits import LinkWaits
from clustersim.engine.pessimism import Pessimism
from clustersim.engine.trace import NETWORK_LATENCY, NO_CAUSE, Trace, link_resource
from clustersim.topology import Path, Topology

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
    keep_rates
        Record how fast flows ran over time, and what held them back.
    solver
        The fabric's; see `Fabric`. The choice depends on this run alone, so it repeats to the bit.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        seed: int = 0,
        keep_trace: bool = True,
        keep_rates: bool = False,
        solver: str = "auto",
    ) -> None:
        self.env = simpy.Environment()
        self.topology = topology
        self.seed = seed
        self.trace = Trace(keep=keep_trace)
        self.undisturbed = False
        """Whether one workload has the world to itself, now and later: set by who makes the run."""
        self.links_change = False
        """Whether links get another capacity during the run: set by who makes them."""
        self.on_link_change: list[Callable[[int, float], None]] = []
        """Called with each link that gets another capacity, and that capacity."""
        self.link_waits = LinkWaits()
        """Whom links held back; whoever waits for a flow tells it."""
        self.pessimism = Pessimism()
        """Collectives that may be too slow; whoever runs them as fluids tells it."""
        self.fabric = Fabric(
            self.env,
            topology.link_bandwidth_bytes_per_s.tolist(),
            names=topology.link_names,
            keep_rates=keep_rates,
            solver=solver,
            repeatable=True,
        )

    @cached_property
    def gpus(self) -> dict[str, Gpu]:
        """Every GPU as simpy resources, by name."""
        topology, sizes = self.topology, dict[str, float]()
        for gpu in topology.gpus:
            kind = topology.accelerator_of(gpu)
            if kind not in sizes:
                sizes[kind] = topology.memory_bytes(gpu)
        return {gpu: Gpu(self.env, gpu, sizes[topology.accelerator_of(gpu)]) for gpu in topology.gpus}

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Every node with its GPUs, by name."""
        return {
            name: Node(self.env, name, [self.gpus[gpu] for gpu in gpus])
            for name, gpus in self.topology.gpus_by_node.items()
        }

    @cached_property
    def links(self) -> dict[str, Link]:
        """Every link as a simpy resource, by its name `source>target`."""
        return {name: Link(self.fabric, index) for index, name in enumerate(self.topology.link_names)}

    @cached_property
    def _use(self) -> LinkUse:
        return LinkUse(self.fabric)

    def change_link(self, link: int, bytes_per_s: float) -> None:
        """Give a link another capacity from now on; 0: it is dead."""
        self.fabric.set_capacity(link, bytes_per_s)
        for tell in self.on_link_change:
            tell(link, bytes_per_s)

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
        owner: str = "",
        traffic: TrafficClass = DEFAULT_TRAFFIC,
    ) -> simpy.Process:
        """Move bytes from one vertex to another, sharing the links on the way.

        *Equation.* T = message overhead + latency + S / rate. Over n connections per pair the bytes
        are one flow of S/n that takes n·w_l of link l (`clustersim.topology.paths`), latency is
        that of the longest part, and the rate is the max-min fair one.

        Parameters
        ----------
        connection
            Tells routing which of several transfers of one pair this is.
        owner
            Whose bytes they are, for `Fabric.private` and reports.
        traffic
            Priority and weight of its bytes on links that others use as well.

        Returns
        -------
        simpy.Process
            Its value is the transfer's row in the trace.

        **Checked by:** tests/engine/test_transport.py.
        """
        path = self._path(source, target, connection)
        label = label or f"{source}>{target}"
        return self.env.process(self._transfer(path, size_bytes, lane, label, cause, owner, traffic))

    def _path(self, source: str, target: str, connection: int) -> Path:
        if self.topology.routing != "adaptive":
            return self.topology.path(source, target, connection=connection)
        self._use.settle()
        path = self.topology.momentary_path(source, target, self._use, connection=connection)
        self._use.given(path)
        return path

    def _transfer(
        self,
        path: Path,
        size_bytes: float,
        lane: str,
        label: str,
        cause: int,
        owner: str,
        traffic: TrafficClass,
    ) -> Generator[simpy.Event, Any, int]:
        start_s = self.env.now
        overhead_s = self.topology.message_overhead_s(path.links)
        if overhead_s + path.latency_s:
            yield self.env.timeout(overhead_s + path.latency_s)
        if self.topology.routing == "adaptive":
            self._use.started(path)
        shares = {NETWORK_LATENCY: overhead_s + path.latency_s}
        if path.links and size_bytes:
            weights = None if path.plain else path.flow_weights
            route_set = self.fabric.route_set(path.links, weights, owner=owner, traffic=traffic)
            flow = self.fabric.start(route_set, size_bytes / path.connections)
            yield flow
            for link, seconds in flow.held_by().items():
                shares[link_resource(self.topology.link_names[link])] = seconds
                self.link_waits.add(owner, "transfer", link, until_s=self.env.now, full_s=seconds)
        return self.trace.record("transfer", lane, label, start_s, self.env.now, cause=cause, shares=shares)
