"""Short ways to a world with a group of GPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np

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

    def torus(self, *shape: int, rate: float = 50e9, latency_s: float = 1e-6) -> Topology:
        """Chips joined to their neighbours in each dimension, with wrap-around; each a node of its own."""
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        names = {place: "-".join(map(str, place)) for place in np.ndindex(shape)}
        for place, name in names.items():
            chip = {"kind": "gpu", "node": name, "accelerator": "a100-sxm4-40gb", "forwards": True}
            graph.add_node(f"{name}/gpu0", **chip, coordinates=place)
        for place, name in names.items():
            for axis, length in enumerate(shape):
                other = list(place)
                other[axis] = (other[axis] + 1) % length
                ends = (f"{name}/gpu0", f"{names[tuple(other)]}/gpu0")
                for source, target in (ends, ends[::-1]) if length > 2 or place[axis] < length - 1 else ():
                    graph.add_edge(
                        source, target, bandwidth_bytes_per_s=rate, latency_s=latency_s, kind="ici"
                    )
        graph.graph["dimensions"] = shape
        return from_graph(graph)

    def reducing_leaf_spine(self, *, leaves: int, nodes: int, reduces: bool = True) -> Topology:
        """Leaf switches with `nodes` nodes of two GPUs each, under two spines; all switches can add."""
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()

        def join(one: str, other: str, rate: float, kind: str) -> None:
            for ends in ((one, other), (other, one)):
                graph.add_edge(*ends, bandwidth_bytes_per_s=rate, latency_s=1e-6, kind=kind)

        for spine in range(2):
            graph.add_node(f"spine{spine}", kind="switch", reduces=reduces)
        for leaf in range(leaves):
            graph.add_node(f"leaf{leaf}", kind="switch", reduces=reduces)
            for spine in range(2):
                join(f"leaf{leaf}", f"spine{spine}", 25e9 * nodes, "infiniband")
            for number in range(leaf * nodes, (leaf + 1) * nodes):
                self._add_node(graph, f"node{number}", f"leaf{leaf}", join)
        return from_graph(graph)

    @staticmethod
    def _add_node(graph: nx.MultiDiGraph[str], node: str, leaf: str, join: Callable[..., None]) -> None:
        gpus = [f"{node}/gpu{gpu}" for gpu in range(2)]
        for gpu in gpus:
            graph.add_node(gpu, kind="gpu", node=node, accelerator="a100-sxm4-40gb")
        graph.add_node(f"{node}/nic0", kind="nic", node=node)
        join(*gpus, 200e9, "nvlink")
        for gpu in gpus:
            join(gpu, f"{node}/nic0", 50e9, "pcie")
        join(f"{node}/nic0", leaf, 25e9, "infiniband")

    def run(self, topology: Topology, kind: str, size_bytes: float, **options: Any) -> CollectiveRecord:
        """Run one collective alone and return its record."""
        gpus = options.pop("gpus", topology.gpus)
        world = World(topology)
        communicator = Communicator(world, gpus, owner="test", **options)
        event = getattr(communicator, kind)(size_bytes)
        record: CollectiveRecord = world.env.run(until=event)
        return record
