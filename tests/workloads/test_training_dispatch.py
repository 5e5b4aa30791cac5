"""Experts of a job over nodes: what their dispatch puts on the network, counted on the links."""

from __future__ import annotations

import pytest
from training_jobs import cluster, job, run

from clustersim import catalog
from clustersim.collectives.token_exchange import TokenExchange
from clustersim.engine.world import World
from clustersim.workloads.training import TrainingWorkload

TWO_NODES = cluster(nodes=2, node="dgx-h100", link="infiniband-ndr")
TOKENS, EXCHANGES = 1024, 4
"""Of a GPU in a pass; of a layer: out and back, forward and backward."""


def experts(dispatch: str) -> tuple[TrainingWorkload, World]:
    spec = job(
        model="qwen3-30b-a3b",
        gpus=16,
        micro_batch=1,
        sequence=TOKENS,
        parallelism={"expert": 16, "expert_tensor": 1, "zero": 1, "expert_dispatch": dispatch},
        steps=1,
    )
    return run(spec, TWO_NODES)


def leaving_bytes(world: World) -> float:
    """Bytes on links that leave nodes."""
    home = dict(TWO_NODES.graph.nodes(data="node"))
    return sum(
        float(size)
        for (source, target), size in zip(TWO_NODES.link_ends, world.fabric.usage().bytes, strict=True)
        if home[source] and not home[target]
    )


def test_a_token_crosses_once_for_each_node_that_it_visits() -> None:
    model = catalog.model("qwen3-30b-a3b")
    assert model.moe is not None
    copies_bytes = TOKENS * model.moe.experts_per_token * model.hidden * 2
    found = {name: experts(name) for name in ("all-to-all", "deduplicated")}
    spared = leaving_bytes(found["all-to-all"][1]) - leaving_bytes(found["deduplicated"][1])
    crossing = 8 / 16 - TokenExchange(model.moe).part(8, of=16)
    assert spared == pytest.approx(16 * EXCHANGES * model.layers * copies_bytes * crossing, rel=1e-6)
    seconds = [training.outcome().metrics["exposed_expert_s"] for training, _ in found.values()]
    assert seconds[1] < 0.5 * seconds[0]
