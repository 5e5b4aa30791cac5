"""Every GPU serves one workload, where its placement says."""

from __future__ import annotations

import re

import pytest

import clustersim as cs
from clustersim.errors import CannotRunError, InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.placement import PlacementSpec
from clustersim.study.prepare import prepare
from clustersim.workloads.placement import Placer


@pytest.fixture(scope="module")
def topology() -> cs.topology.Topology:
    spec = {
        "topology": {"kind": "leaf-spine", "nodes": 6, "node": "a100-40gb-x4", "nodes_per_leaf": 2},
        "fabric": {"link": "ethernet-100g"},
    }
    return cs.topology.build(ClusterSpec.model_validate(spec), base=None)


def nodes_of(gpus: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(gpu.split("/")[0] for gpu in gpus))


def test_packed_takes_the_first_free_nodes_in_order(topology: cs.topology.Topology) -> None:
    placer = Placer(topology)
    assert nodes_of(placer.take(8, PlacementSpec())) == ["node0", "node1"]
    assert nodes_of(placer.take(8, PlacementSpec())) == ["node2", "node3"]


def test_spread_goes_round_robin_over_leaves(topology: cs.topology.Topology) -> None:
    assert nodes_of(Placer(topology).take(16, PlacementSpec(policy="spread"))) == [
        "node0",
        "node2",
        "node4",
        "node1",
    ]


def test_named_nodes_are_taken_in_their_order(topology: cs.topology.Topology) -> None:
    assert nodes_of(Placer(topology).take(8, PlacementSpec(nodes=(5, 1)))) == ["node5", "node1"]


def test_no_gpu_is_given_twice_and_all_can_be_given(topology: cs.topology.Topology) -> None:
    placer = Placer(topology)
    taken = [gpu for count in (3, 4, 8, 2, 7) for gpu in placer.take(count, PlacementSpec())]
    assert len(set(taken)) == len(taken) == len(topology.gpus)


def test_a_job_of_whole_nodes_is_not_cut_across_leftovers(topology: cs.topology.Topology) -> None:
    placer = Placer(topology)
    placer.take(2, PlacementSpec())
    assert nodes_of(placer.take(4, PlacementSpec())) == ["node1"]


def test_too_few_free_gpus_are_told_with_both_counts(topology: cs.topology.Topology) -> None:
    with pytest.raises(CannotRunError, match="25 GPUs are asked for, the cluster has 24 free of 24"):
        Placer(topology).take(25, PlacementSpec())


def test_a_node_that_does_not_exist_is_named(topology: cs.topology.Topology) -> None:
    with pytest.raises(
        InputError, match=r"placement.nodes\[1\]: node 9 does not exist; the cluster has nodes 0 to 5"
    ):
        Placer(topology).take(4, PlacementSpec(nodes=(0, 9)))


STAR = {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100"}}
TRAINING = {"kind": "ranking-training", "model": "wide-and-deep", "gpus": 99, "batch": 64, "steps": 1}
CHAT = {
    "kind": "inference",
    "model": "llama-2-7b",
    "arrivals": {"kind": "poisson", "rate": "4 req/s"},
    "lengths": {"table": "azure-conversation-2023"},
    "requests": 60,
}
FEED = {
    "kind": "ranking-inference",
    "model": "wide-and-deep",
    "arrivals": {"kind": "poisson", "rate": "2000 qps"},
    "candidates": {"kind": "quantiles"},
    "queries": 500,
}
VARIANT = {"model": "wide-and-deep", "replicas": 99}
STAGE = {"name": "first", "model": "wide-and-deep", "keep": 100}


@pytest.mark.parametrize(
    ("workload", "field"),
    [
        (TRAINING, "gpus"),
        (CHAT | {"replicas": 99}, "replicas"),
        (CHAT | {"autoscaling": {"max": 99, "target": 8.0}}, "autoscaling.max"),
        (
            CHAT | {"disaggregation": {"prefill": {"replicas": 1}, "decode": {"replicas": 99}}},
            "disaggregation.decode.replicas",
        ),
        (FEED | {"replicas": 99}, "replicas"),
        (FEED | {"stages": [STAGE, STAGE | {"name": "second", "replicas": 99}]}, "stages[1].replicas"),
        (FEED | {"experiment": {"variant": VARIANT}}, "experiment.variant.replicas"),
    ],
)
def test_too_many_gpus_are_told_at_the_field_that_asks_for_them(workload, field):
    scenario = cs.Scenario.from_dict(
        {"name": "many", "cluster": STAR, "workloads": [{"name": "a"} | workload]}
    )
    with pytest.raises(CannotRunError, match=re.escape(f"workloads[0].{field}: 99 GPUs are asked for")):
        prepare(scenario)
