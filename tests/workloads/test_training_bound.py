"""The bound that plan search prunes by: never above the simulated time, and near it where it should be."""

from __future__ import annotations

from typing import Any

import pytest
import training_jobs as jobs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clustersim.topology import Topology
from clustersim.workloads.training.bound import Bounds
from clustersim.workloads.training.crossings import GroupOverNodes, NodeMap
from clustersim.workloads.training.job import describe_job
from clustersim.workloads.training.predict import predict

STAR = jobs.cluster(nodes=2)
SHARP = jobs.cluster(nodes=4, in_network_reduction=True)
BOUNDS = {id(topology): Bounds(topology) for topology in (STAR, SHARP)}


def bound_and_time(topology: Topology = STAR, **fields: Any) -> tuple[float, float]:
    spec = jobs.job(steps=1, **{"model": "gpt2-medium", "micro_batch": 1, **fields})
    gpus = topology.gpus[: spec.gpus]
    described = describe_job(spec, topology=topology, gpus=gpus, fits=False)
    return BOUNDS[id(topology)].of(described), predict(spec, topology, job=described).iteration_s


LAYOUTS: dict[str, dict[str, Any]] = {
    "data": {"parallelism": {}},
    "zero-1": {"parallelism": {"zero": 1}},
    "zero-2": {"parallelism": {"zero": 2}},
    "zero-3": {"parallelism": {"zero": 3}},
    "hybrid-shard": {"parallelism": {"zero": 3, "shard": 4}},
    "tensor": {"parallelism": {"tensor": 4}},
    "tensor-across-nodes": {"parallelism": {"tensor": 8}},
    "tensor-overlapped": {"parallelism": {"tensor": 4}, "overlap": {"tensor": True}},
    "pipeline": {"parallelism": {"pipeline": 8}},
    "gpipe": {"parallelism": {"pipeline": 4, "schedule": "gpipe"}},
    "interleaved": {"parallelism": {"pipeline": 4, "virtual_stages": 3}},
    "zero-bubble": {"parallelism": {"pipeline": 4, "schedule": "zero-bubble", "tensor": 2}},
    "ring": {"parallelism": {"context": 4, "tensor": 2}},
    "gathered": {"parallelism": {"context": 4, "context_exchange": "all-gather"}},
    "all-of-it": {"parallelism": {"context": 2, "tensor": 2, "pipeline": 2, "zero": 1}},
    "nothing-overlaps": {"overlap": {"enabled": False, "parameters": False, "pipeline": False}},
}


@pytest.mark.parametrize("recompute", ["none", "full"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_iteration_is_shorter_than_its_bound(layout: str, recompute: str) -> None:
    bound_s, simulated_s = bound_and_time(global_batch=32, recompute=recompute, **LAYOUTS[layout])
    assert 0.0 < bound_s <= simulated_s


def test_layers_that_do_not_recompute_count_without_it() -> None:
    """Recomputation of one layer of six: the bound is nearer to none than to all of it."""
    fields: dict[str, Any] = {"gpus": 4, "global_batch": 16, "parallelism": {"pipeline": 4}}
    none_s, _ = bound_and_time(**fields)
    all_s, _ = bound_and_time(recompute="full", **fields)
    bound_s, simulated_s = bound_and_time(recompute="full", recompute_layers=1, **fields)
    assert bound_s <= simulated_s
    assert none_s < bound_s < none_s + 0.25 * (all_s - none_s)


def test_switches_that_add_up_do_not_get_below_the_bound() -> None:
    bound_s, simulated_s = bound_and_time(SHARP, gpus=16, global_batch=64)
    assert bound_s <= simulated_s


@pytest.mark.parametrize("expert", [1, 2, 8])
def test_neither_do_experts(expert: int) -> None:
    experts = {"expert": expert, "expert_tensor": 1, "zero": 1}
    bound_s, simulated_s = bound_and_time(
        model="mixtral-8x7b", sequence=512, global_batch=16, recompute="full", parallelism=experts
    )
    assert bound_s <= simulated_s


@settings(max_examples=15, deadline=None)
@given(
    tensor=st.sampled_from([1, 2, 4, 8]),
    pipeline=st.sampled_from([1, 2, 4, 8]),
    micro_batch=st.sampled_from([1, 2]),
    zero=st.sampled_from([0, 1, 2]),
    order=st.sampled_from(["1f1b", "zero-bubble", "interleaved"]),
    sequence=st.sampled_from([128, 1024]),
    bucket=st.sampled_from(["1 MiB", "25 MiB", "1 GiB"]),
)
def test_whatever_the_layout_the_bound_holds(
    tensor: int, pipeline: int, micro_batch: int, zero: int, order: str, sequence: int, bucket: str
) -> None:
    assume(tensor * pipeline <= 8)
    fields: dict[str, Any] = {"tensor": tensor, "pipeline": pipeline, "zero": zero}
    if pipeline > 1:
        fields |= {"virtual_stages": 2} if order == "interleaved" else {"schedule": order}
    bound_s, simulated_s = bound_and_time(
        sequence=sequence,
        micro_batch=micro_batch,
        global_batch=64,
        parallelism=fields,
        overlap={"gradient_bucket": bucket},
    )
    assert bound_s <= simulated_s


def test_of_stages_in_one_node_the_bound_is_the_closed_form() -> None:
    """With nothing to say to replicas only sends, which are free in the bound, make the difference."""
    bound_s, simulated_s = bound_and_time(gpus=4, global_batch=16, parallelism={"pipeline": 4})
    assert 0.97 * simulated_s < bound_s <= simulated_s


def test_a_node_sends_what_the_others_lack() -> None:
    group = GroupOverNodes(["a", "a", "a", "b"])
    assert group.node_bytes("all_gather", 8.0) == {"a": 2.0, "b": 6.0}
    assert group.node_bytes("all_reduce", 8.0) == {"a": 4.0, "b": 12.0}
    assert group.node_bytes("all_reduce", 8.0, in_network=True) == {"a": 8.0, "b": 8.0}
    assert group.node_bytes("all_to_all", 8.0) == {"a": 6.0, "b": 6.0}
    assert GroupOverNodes(["a", "a"]).node_bytes("all_reduce", 8.0) == {}


def test_a_node_sends_as_fast_as_all_its_links_to_the_outside_together() -> None:
    nodes = NodeMap(STAR)
    node_of = dict(STAR.graph.nodes(data="node"))
    ends = zip(STAR.link_ends, STAR.link_bandwidth_bytes_per_s, strict=True)
    out = [rate for (source, target), rate in ends if node_of[source] and not node_of[target]]
    assert nodes.egress_bytes_per_s == pytest.approx(sum(out) / len(STAR.gpus_by_node))
    assert not nodes.adds
    assert NodeMap(SHARP).adds
