"""Bytes that leave nodes: beside what a simulated iteration puts on their links."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.training import TrainingSpec
from clustersim.study.plan.network_bytes import network_bytes
from clustersim.topology import build
from clustersim.workloads.training import TrainingWorkload
from clustersim.workloads.training.crossings import Crossings, NodeMap

STAR = build(
    ClusterSpec.model_validate({"topology": {"kind": "star", "nodes": 2, "node": "a100-40gb-x4"}}), base=None
)
NODE_OF = dict(STAR.graph.nodes(data="node"))
LEAVING = [
    link
    for link, (source, target) in enumerate(STAR.link_ends)
    if NODE_OF[source] is not None and NODE_OF[target] is None
]


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"zero": 1},
        {"zero": 2},
        {"zero": 3},
        {"tensor": 4},
        {"tensor": 8},
        {"tensor": 2, "zero": 1},
        {"tensor": 4, "pipeline": 2},
        {"pipeline": 8},
        {"pipeline": 8, "virtual_stages": 3},
    ],
    ids=str,
)
def test_they_are_those_that_a_simulated_iteration_sends(layout: dict[str, Any]) -> None:
    spec = TrainingSpec.model_validate(
        {
            "kind": "training",
            "name": "job",
            "model": "gpt2-medium",
            "gpus": 8,
            "micro_batch": 1,
            "global_batch": 16,
            "sequence": 128,
            "steps": 1,
            "fold": "never",
            "parallelism": layout,
            "collective": {"algorithm": "ring"},
        }
    )
    world = World(STAR)
    workload = TrainingWorkload(spec, topology=STAR, gpus=STAR.gpus)
    world.env.run(until=workload.start(world))
    sent = sum(world.fabric.usage().bytes[LEAVING])
    nodes = NodeMap(STAR)
    expected = 8 * network_bytes(workload.job, nodes, Crossings(workload.job.layout, nodes))
    assert sent == pytest.approx(expected, rel=1e-3)  # the norm's four bytes are not counted
