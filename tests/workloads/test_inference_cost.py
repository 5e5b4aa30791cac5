"""What a step costs: exact lines for decodes, memory by counting."""

from __future__ import annotations

import pytest

from clustersim import catalog
from clustersim.cost import transformer
from clustersim.cost.roofline import KernelTime, Roofline
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.tables import ServingTables, TableTimer
from clustersim.cost.serving.timer import RooflineTimer
from clustersim.errors import InputError
from clustersim.workloads.inference.replica.skip_ahead import run_seconds


@pytest.fixture(scope="module")
def cost():
    return ServingCost(
        catalog.model("llama-2-70b"), catalog.accelerator("a100-sxm4-40gb"), precision="bf16", tensor=8
    )


def test_weights_and_kv_are_what_counting_gives(cost):
    assert cost.weight_bytes * 8 == pytest.approx(2 * cost.model.parameters, rel=0.01)
    assert cost.kv_bytes_per_token == 2 * 80 * 1 * 128 * 2
    assert cost.all_reduces == 160
    assert cost.all_reduce_bytes(3) == 3 * 8192 * 2


def test_more_gpus_than_kv_heads_keep_one_head_each():
    sixteen = ServingCost(
        catalog.model("llama-2-70b"), catalog.accelerator("a100-sxm4-40gb"), precision="bf16", tensor=16
    )
    assert sixteen.kv_bytes_per_token == 2 * 80 * 1 * 128 * 2


@pytest.mark.parametrize("batch", [1, 17, 256])
def test_decode_attention_is_affine_in_the_context_sum(cost, batch):
    low, middle, high = (cost.decode_attention(batch, context).seconds for context in (1000, 5000, 9000))
    assert middle == pytest.approx((low + high) / 2, rel=1e-12)
    assert high > low > 0


@pytest.mark.parametrize("batch", [1, 32])
def test_a_decode_run_is_the_sum_of_its_steps(cost, batch):
    timer = RooflineTimer(cost, host_s=1e-3)
    run = timer.decode_run(decodes=batch, context_sum=700 * batch)
    added = sum(
        timer.step(decodes=batch, context_sum=(700 + i) * batch, chunks=(), sampled=batch).seconds
        for i in range(200)
    )
    closed = run_seconds(200, first_s=run.first.seconds, growth_s=run.growth.seconds)
    assert closed == pytest.approx(added, rel=1e-12)


def test_the_host_overhead_is_in_every_step(cost):
    without, with_host = (RooflineTimer(cost, host_s=host_s) for host_s in (0.0, 0.004))
    arguments = {"decodes": 3, "context_sum": 300, "chunks": [(100, 0)], "sampled": 4}
    assert with_host.step(**arguments).launch_s - without.step(**arguments).launch_s == pytest.approx(0.004)


def test_a_chunked_prompt_costs_at_least_the_whole_one(cost):
    whole = cost.prefill_attention([(2048, 0)]).seconds
    chunks = sum(cost.prefill_attention([(512, past)]).seconds for past in range(0, 2048, 512))
    assert chunks >= 0.99 * whole


def test_prompts_of_one_step_are_one_attention_kernel(cost):
    batch = transformer.attention_prefill(cost.model, queries=128, batch=64, precision="bf16", tensor=8)
    kernel = Roofline(catalog.accelerator("a100-sxm4-40gb")).time(batch)
    assert cost.prefill_attention([(128, 0)] * 64).seconds == pytest.approx(80 * kernel.seconds, rel=1e-12)


def test_prompts_together_cost_no_more_than_apart_and_no_less_than_each(cost):
    chunks = [(2048, 0), (100, 700), (16, 0)]
    together = cost.prefill_attention(chunks).seconds
    apart = [cost.prefill_attention([chunk]).seconds for chunk in chunks]
    assert max(apart) < together < sum(apart)
    assert cost.prefill_attention([]).seconds == 0.0


def test_reading_the_weights_bounds_a_decode_step_from_below(cost):
    floor_s = cost.weight_bytes / cost.accelerator.memory_bandwidth_bytes_per_s
    assert floor_s < cost.dense_step(1, 1).seconds < 2 * floor_s


def table_timer():
    tables = ServingTables(
        tokens_s=[1e-4] * 100,
        kv_save_s=[0.0] * 100,
        decode_s={(2, context): context * 1e-6 for context in range(0, 512, 64)},
        prefill_s={},
    )
    return TableTimer(tables, layers=2)


def test_a_table_run_ends_with_its_cell_and_is_exact_until_then():
    timer = table_timer()
    run = timer.decode_run(decodes=2, context_sum=2 * 100 + 1)
    assert run.growth == KernelTime.ZERO
    assert run.steps == 29
    for i in range(run.steps):
        step = timer.step(decodes=2, context_sum=2 * 100 + 1 + 2 * i, chunks=(), sampled=2)
        assert step.seconds == run.first.seconds
    beyond = timer.step(decodes=2, context_sum=2 * 100 + 1 + 2 * run.steps, chunks=(), sampled=2)
    assert beyond.seconds > run.first.seconds


def test_leaving_the_tables_says_where_they_end():
    with pytest.raises(InputError, match="end at 96 tokens"):
        table_timer().step(decodes=0, context_sum=0, chunks=[(500, 0)], sampled=1)
    with pytest.raises(InputError, match="attn_decode"):
        table_timer().step(decodes=3, context_sum=30, chunks=(), sampled=3)
