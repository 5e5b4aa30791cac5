"""Many low-rank adapters of one model: how many a step needs, and what they add."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim import catalog
from clustersim.cost.serving.adapter_mix import AdapterMix
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.timer import RooflineTimer


def mix(**given):
    values = {"count": 100, "rank": 16, "resident": 100, "skew": 1.0, "swap_bytes_per_s": 25e9}
    return AdapterMix(**{**values, **given})


def cost(adapters, tensor=1):
    return ServingCost(
        catalog.model("llama-3-8b"), catalog.accelerator("h100-sxm5-80gb"), tensor=tensor, adapters=adapters
    )


def test_an_adapter_is_counted_matrix_by_matrix():
    model = catalog.model("llama-3-8b")
    elements = 4096 + 6144 + 4096 + 4096 + 4096 + 2 * 14336 + 14336 + 4096
    assert mix().layer_bytes(model, precision="bf16", tensor=1) == 16 * elements * 2
    assert mix().layer_bytes(model, precision="bf16", tensor=4) == 16 * elements * 2 / 4


def test_the_distinct_adapters_of_a_step_are_those_that_draws_find():
    rng = np.random.default_rng(3)
    for skew in (0.0, 1.0):
        adapters = mix(skew=skew)
        drawn = rng.choice(adapters.count, size=(4000, 40), p=adapters.popularity)
        found = np.mean([len(set(row)) for row in drawn.tolist()])
        assert adapters.distinct(40) == pytest.approx(found, rel=0.02)


def test_popular_adapters_are_the_resident_ones():
    assert mix(resident=100).miss_chance == pytest.approx(0.0, abs=1e-12)
    assert mix(resident=10, skew=0.0).miss_chance == pytest.approx(0.9)
    assert mix(resident=10, skew=1.0).miss_chance < 0.5


def test_adapters_take_memory_and_time_that_grows_with_rank_and_variety():
    step = {"decodes": 32, "context_sum": 3200, "chunks": (), "sampled": 32}
    plain = cost(None)
    times = {
        name: RooflineTimer(cost(adapters)).step(**step).seconds - RooflineTimer(plain).step(**step).seconds
        for name, adapters in {"few": mix(count=1), "many": mix(skew=0.0), "wide": mix(rank=64)}.items()
    }
    assert 0 < times["few"] < times["many"]
    assert times["few"] < times["wide"]
    layer_bytes = mix().layer_bytes(plain.model, precision="bf16", tensor=1)
    assert cost(mix()).weight_bytes - plain.weight_bytes == pytest.approx(100 * 32 * layer_bytes)


def test_a_new_request_waits_for_an_adapter_that_is_not_there():
    few = RooflineTimer(cost(mix(resident=10, skew=0.0)))
    all_there = RooflineTimer(cost(mix(skew=0.0)))
    prompt = {"decodes": 0, "context_sum": 0, "chunks": [(100, 0)], "sampled": 1}
    adapter_bytes = 32 * mix().layer_bytes(catalog.model("llama-3-8b"), precision="bf16", tensor=1)
    waited = few.step(**prompt).launch_s - all_there.step(**prompt).launch_s
    assert waited == pytest.approx(0.9 * adapter_bytes / 25e9)
    later = {**prompt, "chunks": [(100, 50)]}
    assert few.step(**later).launch_s == all_there.step(**later).launch_s
