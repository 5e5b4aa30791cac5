"""Short ways to a topology for the tests of this layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest

from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import Topology, build

Make = Callable[..., Topology]


@pytest.fixture(scope="session")
def make() -> Make:
    """Build a standard topology: kind, number of nodes, node type and the builder's fields."""

    def build_cluster(
        kind: str,
        nodes: int,
        node: str = "dgx-h100",
        *,
        fabric: dict[str, Any] | None = None,
        seed: int = 0,
        **fields: Any,
    ) -> Topology:
        spec = {
            "topology": {"kind": kind, "nodes": nodes, "node": node, **fields},
            "fabric": {"link": "infiniband-ndr", **(fabric or {})},
        }
        return build(ClusterSpec.model_validate(spec), seed=seed)

    return build_cluster


@pytest.fixture
def two_gpus() -> nx.MultiDiGraph:
    """The smallest graph that keeps the contract: two one-GPU nodes on a switch."""
    graph: nx.MultiDiGraph = nx.MultiDiGraph()
    graph.add_node("switch", kind="switch")
    for name in ("a", "b"):
        graph.add_node(f"{name}/gpu", kind="gpu", node=name, accelerator="a100-sxm4-40gb")
        for ends in ((f"{name}/gpu", "switch"), ("switch", f"{name}/gpu")):
            graph.add_edge(*ends, bandwidth_bytes_per_s=10e9, latency_s=1e-6, kind="ethernet")
    return graph
