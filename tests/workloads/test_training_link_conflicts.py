"""Collectives between the passes of a lane: who else of the job uses their links."""

from __future__ import annotations

import pytest
from training_jobs import cluster, job, workload

from clustersim.engine.world import World
from clustersim.workloads.training.link_conflicts import link_conflicts
from clustersim.workloads.training.network import Network
from clustersim.workloads.training.program import Compute
from clustersim.workloads.training.programs import Programs


def planned(*, folded: bool, nodes: int = 2, **parallelism):
    topology = cluster(nodes=nodes)
    spec = job(parallelism=parallelism, gpus=4 * nodes, global_batch=128)
    training = workload(spec, topology)
    network = Network(World(topology), spec, training.job.layout, folded=folded)
    lanes = [
        (stage, replica)
        for stage in range(training.job.layout.pipeline)
        for replica in range(1 if folded else training.job.layout.lanes_per_stage)
    ]
    return Programs(training.job, network, lanes), network


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize(
    ("parallelism", "use"),
    [
        ({"tensor": 4}, "apart"),  # a node each; replicas speak over the network
        ({"tensor": 2}, "beside replicas"),  # two replicas in a node speak over NVLink
        ({"tensor": 2, "pipeline": 2, "order": ("tensor", "pipeline", "context", "data")}, "shared"),
    ],
)
def test_who_shares_links_with_tensor_groups(parallelism, use, folded):
    _, network = planned(folded=folded, **parallelism)
    uses = {place: found for place, found in link_conflicts(network).items() if place[0] == "tensor"}
    assert set(uses.values()) == {use}


def test_passes_are_whole_until_replicas_speak_on_the_same_links():
    def computes_per_pass(tensor: int) -> list[int]:
        programs, _ = planned(folded=True, tensor=tensor)
        found: dict[tuple[str, int], int] = {}
        for item in programs.of(0, 0):
            if isinstance(item, Compute) and item.kind != "optimizer":
                found[item.kind, item.micro_batch] = found.get((item.kind, item.micro_batch), 0) + 1
        return list(found.values())

    assert set(computes_per_pass(2)[:-1]) == {1}
    assert computes_per_pass(2)[-1] > 4 * computes_per_pass(4)[-1]
