"""Short ways to a world with a group of GPUs."""

from __future__ import annotations

from typing import Any

import networkx as nx

from clustersim.collectives import CollectiveRecord, Communicator
from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import Topology, build, from_graph


class Bench:
    """Builds topologies (kept) and runs one collective on a fresh world."""

    def __init__(self) -> None:
        self._kept: dict[str, Topology] = {}

    def topology(self, node: str, nodes: int = 1, *, link: str = "ethernet-100g", **fields: Any) -> Topology:
        key = repr((node, nodes, link, fields))
        if key not in self._kept:
            spec = {"kind": "star", "node": node, "nodes": nodes, **fields}
            self._kept[key] = build(
                ClusterSpec.model_validate({"topology": spec, "fabric": {"link": link}}), base=None
            )
        return self._kept[key]

    def star_of_gpus(self, rates: list[float], *, latency_s: float = 1e-6, kind: str = "nvlink") -> Topology:
        """One node: each GPU on a switch by a link of its own rate."""
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        graph.add_node("node0/nvswitch", kind="switch", node="node0")
        for index, rate in enumerate(rates):
            gpu = f"node0/gpu{index}"
            graph.add_node(gpu, kind="gpu", node="node0", accelerator="a100-sxm4-40gb")
            for ends in ((gpu, "node0/nvswitch"), ("node0/nvswitch", gpu)):
                graph.add_edge(
                    *ends, bandwidth_bytes_per_s=rate, latency_s=latency_s, kind=kind, tier="scale-up"
                )
        return from_graph(graph)

    def run(self, topology: Topology, kind: str, size_bytes: float, **options: Any) -> CollectiveRecord:
        """Run one collective alone and return its record."""
        gpus = options.pop("gpus", topology.gpus)
        world = World(topology)
        communicator = Communicator(world, gpus, owner="test", **options)
        event = getattr(communicator, kind)(size_bytes)
        record: CollectiveRecord = world.env.run(until=event)
        return record
