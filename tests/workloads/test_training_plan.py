"""Gradient buckets and phases before anything runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.roofline import KernelTime
from clustersim.cost.training import LayerCost, training_cost
from clustersim.workloads.training.plan import gradient_buckets, plan_iteration

MIB = 2**20


def layers(*parameters: int) -> tuple[LayerCost, ...]:
    time = KernelTime(compute_s=1e-3)
    return tuple(LayerCost(f"layer{i}", count, time, time * 2, 0.0) for i, count in enumerate(parameters))


def test_buckets_fill_from_the_last_layer_and_close_when_full():
    found = gradient_buckets(layers(10, 20, 30, 40), bucket_bytes=60, bytes_per_parameter=1)
    assert list(found) == [(70, 2), (30, 4)]


def test_a_layer_larger_than_a_bucket_is_a_bucket():
    found = gradient_buckets(layers(5, 500), bucket_bytes=10, bytes_per_parameter=2)
    assert list(found) == [(1000, 1), (10, 2)]


def test_layers_without_parameters_do_not_delay_a_bucket():
    found = gradient_buckets(layers(0, 10, 0), bucket_bytes=100, bytes_per_parameter=1)
    assert list(found) == [(10, 2)]


@given(parameters=st.lists(st.integers(0, 10**6), min_size=1, max_size=30), bucket=st.floats(0, 10**7))
def test_every_gradient_is_in_exactly_one_bucket(parameters, bucket):
    found = list(gradient_buckets(layers(*parameters), bucket_bytes=bucket, bytes_per_parameter=4))
    assert sum(size for size, _ in found) == pytest.approx(4 * sum(parameters))
    assert all(size >= bucket for size, _ in found[:-1])
    assert [after for _, after in found] == sorted({after for _, after in found})


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("micro_steps", [1, 4])
def test_phases_add_up_to_all_passes(overlap, micro_steps):
    cost = training_cost(
        catalog.model("bert-large"), catalog.accelerator("a100-sxm4-80gb"), precision="bf16", micro_batch=8
    )
    plan = plan_iteration(
        cost, micro_steps=micro_steps, bucket_bytes=25 * MIB, overlap=overlap, synchronised=True
    )
    passes = (cost.forward + cost.backward).seconds * micro_steps
    assert plan.alone_s == pytest.approx(passes + cost.optimizer.seconds, rel=1e-12)
    assert sum(bucket.size_bytes for bucket in plan.buckets) == 2 * cost.parameters
    assert len(plan.backward) == (len(plan.buckets) if overlap else 1)


def test_bert_large_has_the_buckets_of_its_gradients():
    cost = training_cost(
        catalog.model("bert-large"), catalog.accelerator("a100-sxm4-80gb"), precision="fp16", micro_batch=8
    )
    plan = plan_iteration(cost, micro_steps=1, bucket_bytes=25 * MIB, overlap=True, synchronised=True)
    # Two thirds of a layer are its feed-forward part of 16 MiB, so a bucket takes three parts of two.
    assert all(bucket.size_bytes >= 25 * MIB for bucket in plan.buckets[:-1])
    assert [bucket.phase for bucket in plan.buckets] == list(range(len(plan.buckets)))


def test_one_replica_has_nothing_to_reduce():
    cost = training_cost(
        catalog.model("resnet-50"), catalog.accelerator("a100-sxm4-80gb"), precision="fp16", micro_batch=8
    )
    plan = plan_iteration(cost, micro_steps=1, bucket_bytes=25 * MIB, overlap=True, synchronised=False)
    assert plan.buckets == ()
