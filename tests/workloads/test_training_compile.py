"""Programs before anything runs: buckets, collectives by stage of ZeRO, messages of passes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_jobs import buckets, cluster, job, program, workload

from clustersim.cost.training.shard import Message
from clustersim.spec.training import OverlapSpec
from clustersim.workloads.training.buckets import fill_buckets
from clustersim.workloads.training.closed_form import Alone, beside_s, booked
from clustersim.workloads.training.compile import NORM
from clustersim.workloads.training.program import Await, Compute, Launch, Receive, Send


def test_buckets_fill_in_order_and_close_when_full():
    assert list(fill_buckets([40, 30, 20, 10], bucket_bytes=60)) == [(70, 2), (30, 4)]


def test_an_item_larger_than_a_bucket_is_a_bucket():
    assert list(fill_buckets([1000, 10], bucket_bytes=10)) == [(1000, 1), (10, 2)]


def test_items_without_bytes_do_not_delay_a_bucket():
    assert list(fill_buckets([0, 10, 0], bucket_bytes=100)) == [(10, 2)]


@given(sizes=st.lists(st.integers(0, 10**6), min_size=1, max_size=30), bucket=st.floats(0, 10**7))
def test_every_byte_is_in_exactly_one_bucket(sizes, bucket):
    found = list(fill_buckets(sizes, bucket_bytes=bucket))
    assert sum(size for size, _ in found) == pytest.approx(sum(sizes))
    assert all(size >= bucket for size, _ in found[:-1])
    assert [after for _, after in found] == sorted({after for _, after in found})


def made(**fields):
    return workload(job(**fields), cluster())


def by_collective(training) -> Counter[str]:
    """Bytes of what replicas say to each other, by collective."""
    found: Counter[str] = Counter()
    for item in program(training):
        if isinstance(item, Launch) and item.key != NORM:
            found[f"{item.dimension} {item.collective}"] += item.size_bytes
    return found


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("accumulation", [1, 4])
def test_gradients_are_reduced_once_per_iteration(overlap, accumulation):
    training = made(global_batch=64 * accumulation, overlap={"enabled": overlap}, precision="fp16")
    assert by_collective(training) == {"data all_reduce": 2 * training.job.cost.parameters}
    kinds = [type(item) for item in program(training)]
    assert kinds.count(Compute) >= 2 * accumulation + 1
    if not overlap:
        assert kinds.index(Launch) == 2 * accumulation


def test_bert_large_has_the_buckets_of_its_gradients():
    sizes = [item.size_bytes for item in buckets(made(precision="fp16"))]
    assert all(size >= 25 * 2**20 for size in sizes[:-1])
    assert len(sizes) > 10


def test_one_replica_has_nothing_to_reduce():
    training = workload(job(gpus=1), cluster(nodes=1))
    assert {type(item) for item in program(training)} == {Compute}


def test_zero_1_sends_the_bytes_of_an_all_reduce():
    # An all-reduce of S moves 2·(N-1)/N·S, a reduce-scatter and an all-gather of S each half of it.
    whole, divided = (
        by_collective(made(precision="fp16")),
        by_collective(made(precision="fp16", parallelism={"zero": 1})),
    )
    assert divided["shard reduce_scatter"] == divided["shard all_gather"] == whole["data all_reduce"]
    assert len(divided) == 2


def test_zero_2_scatters_after_every_micro_batch_and_zero_3_gathers_before_every_pass():
    once = by_collective(made(precision="fp16"))["data all_reduce"]
    second = by_collective(made(precision="fp16", global_batch=192, parallelism={"zero": 2}))
    third = by_collective(made(precision="fp16", global_batch=192, parallelism={"zero": 3}))
    assert second == {"shard reduce_scatter": 3 * once, "shard all_gather": once}
    assert third == {"shard reduce_scatter": 3 * once, "shard all_gather": 2 * 3 * once}


def test_hybrid_sharding_adds_up_parts_among_those_that_hold_the_same():
    training = made(precision="fp16", parallelism={"zero": 1, "shard": 4})
    found = by_collective(training)
    assert found["replica_shard all_reduce"] == pytest.approx(found["shard reduce_scatter"] / 4)


def test_zero_3_gathers_as_many_layers_ahead_as_told():
    def most_ahead(prefetch: int) -> int:
        ahead = most = 0
        for item in program(made(parallelism={"zero": 3}, overlap={"prefetch": prefetch})):
            if isinstance(item, Launch) and item.stream == "gather":
                ahead += 1
            elif isinstance(item, Compute):
                most = max(most, ahead)
            elif isinstance(item, Await) and ".p" in item.key:
                ahead -= 1
        return most

    assert [most_ahead(0), most_ahead(1), most_ahead(3)] == [0, 1, 3]


def test_parameters_that_are_not_overlapped_are_gathered_at_the_end():
    first = program(made(parallelism={"zero": 1}))
    last = program(made(parallelism={"zero": 1}, overlap={"parameters": False}))
    assert isinstance(first[0], Launch)
    assert isinstance(last[0], Compute)
    assert isinstance(last[-1], Await)
    assert by_collective(made(parallelism={"zero": 1})) == by_collective(
        made(parallelism={"zero": 1}, overlap={"parameters": False})
    )


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "zero-bubble"])
def test_what_a_stage_sends_its_neighbour_receives(schedule):
    training = made(parallelism={"pipeline": 4, "schedule": schedule}, global_batch=64)
    programs = [program(training, stage=stage) for stage in range(4)]
    sent = {
        (stage, item.stage, item.key)
        for stage in range(4)
        for item in programs[stage]
        if isinstance(item, Send)
    }
    received = {
        (item.stage, stage, item.key)
        for stage in range(4)
        for item in programs[stage]
        if isinstance(item, Receive)
    }
    assert sent == received
    assert len(sent) == 2 * 3 * training.job.micro_batches


def test_every_key_is_launched_once_and_awaited_after():
    for parallelism in ({"zero": 3, "shard": 4}, {"tensor": 2, "pipeline": 2, "zero": 1}, {"context": 2}):
        launched: set[str] = set()
        for item in program(made(parallelism=parallelism, global_batch=64)):
            if isinstance(item, Launch | Send):
                assert item.key not in launched
                launched.add(item.key)
            elif isinstance(item, Await):
                assert item.key in launched


@given(seconds=st.floats(0.01, 10), kernels_s=st.floats(0, 10), slowdown=st.floats(1, 2))
def test_a_hidden_collective_adds_what_it_slows_or_what_is_left_of_it(seconds, kernels_s, slowdown):
    message = Message("tensor", "all_reduce", 1.0, count=2)
    item, slowed_s, covered_s, shares = booked(
        message, Alone(seconds, {"link": seconds}, slowdown), kernels_s=kernels_s
    )
    beside_kernels_s = min(kernels_s, 2 * seconds / slowdown)  # kernels done by the end of the collective
    together_s = max(2 * seconds, beside_kernels_s * slowdown) + kernels_s - beside_kernels_s
    assert item.exposed_s + slowed_s == pytest.approx(together_s - kernels_s, rel=1e-9, abs=1e-12)
    assert item.exposed_s == pytest.approx(max(0.0, 2 * seconds - slowdown * kernels_s), abs=1e-12)
    # Where it is the longer one, the pass is as long as it, whatever the kernels beside it take.
    assert covered_s == (kernels_s if item.exposed_s else 0.0)
    assert shares["link"] == pytest.approx(item.exposed_s + slowed_s + covered_s)


def test_asynchronous_messages_are_hidden_without_being_asked_for():
    message = Message("tensor", "all_reduce", 1.0, hideable_s=3.0, asynchronous_s=1.0)
    assert beside_s(message, OverlapSpec()) == 1.0
    assert beside_s(message, OverlapSpec(tensor=True)) == 3.0
    assert beside_s(message, OverlapSpec(expert=True)) == 1.0
