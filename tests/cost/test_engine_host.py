"""The host of an engine: what waits for it, what runs beside it, and padding to captured graphs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.catalog.serving import SHELF
from clustersim.cost.serving.engine_host import EngineHost
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.timer import RooflineTimer


@pytest.fixture(scope="module")
def cost():
    return ServingCost(catalog.model("llama-3-8b"), catalog.accelerator("h100-sxm5-80gb"))


def step(timer, decodes, context_sum, chunks=()):
    return timer.step(decodes=decodes, context_sum=context_sum, chunks=chunks, sampled=decodes + len(chunks))


def test_batches_are_padded_to_the_next_graph():
    host = EngineHost(captured_tokens=256)
    padded = {tokens: host.rows(tokens, prompts=False) for tokens in (1, 3, 4, 5, 8, 9, 249, 256, 257)}
    assert padded == {1: 1, 3: 4, 4: 4, 5: 8, 8: 8, 9: 16, 249: 256, 256: 256, 257: 257}
    assert host.rows(9, prompts=True) == 9
    assert EngineHost(captured_tokens=256, captures_prompts=True).rows(9, prompts=True) == 16
    assert EngineHost().rows(9, prompts=False) == 9


def test_a_padded_step_costs_what_the_larger_graph_does(cost):
    timer = RooflineTimer(cost, host=EngineHost(captured_tokens=64))
    attention = [cost.decode_attention(batch, 1000).seconds for batch in (9, 16)]
    nine, sixteen = (step(timer, batch, 1000).seconds for batch in (9, 16))
    sampling = [cost.dense_step(16, batch).seconds for batch in (9, 16)]
    assert nine - attention[0] - sampling[0] == pytest.approx(sixteen - attention[1] - sampling[1], rel=1e-9)


def test_a_step_is_never_shorter_than_its_launches(cost):
    gpu_s = step(RooflineTimer(cost), 4, 400).seconds
    eager = RooflineTimer(cost, host=EngineHost(serial_s=1e-3, launches_s=2 * gpu_s))
    time = step(eager, 4, 400)
    assert time.seconds == pytest.approx(1e-3 + 2 * gpu_s, rel=1e-12)
    assert time.launch_s == time.seconds  # a faster GPU would not help
    captured = RooflineTimer(cost, host=EngineHost(serial_s=1e-3, launches_s=2 * gpu_s, captured_tokens=256))
    assert step(captured, 4, 400).seconds == pytest.approx(1e-3 + gpu_s, rel=1e-12)


def test_launching_goes_on_while_the_network_is_busy(cost):
    gpu_s = step(RooflineTimer(cost), 4, 400).seconds
    host = EngineHost(launches_s=2 * gpu_s)
    timer = RooflineTimer(cost, host=host, network_s=lambda tokens: 0.4 * gpu_s)
    assert step(timer, 4, 400).seconds == pytest.approx(1.6 * gpu_s, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 200),
    context=st.integers(1, 3000),
    beside=st.floats(0.5, 1.5),
    steps=st.integers(1, 400),
)
def test_a_run_that_grows_out_of_its_launches_is_the_steps_one_by_one(batch, context, beside, steps):
    cost = ServingCost(catalog.model("llama-3-8b"), catalog.accelerator("h100-sxm5-80gb"))
    gpu_s = step(RooflineTimer(cost), batch, batch * context).seconds
    timer = RooflineTimer(cost, host=EngineHost(serial_s=1e-3, per_request_s=1e-5, launches_s=beside * gpu_s))
    run = timer.decode_run(decodes=batch, context_sum=batch * context)
    last = min(run.steps, steps) - 1
    alone = step(timer, batch, batch * (context + last)).seconds
    assert run.first.seconds + last * run.growth.seconds == pytest.approx(alone, rel=1e-9)
    assert run.first.launch_s + last * run.growth.launch_s >= 1e-3 - 1e-12


def test_an_eager_engine_of_2023_does_not_get_below_its_launches():
    model, published_s = catalog.model("llama-2-70b"), {"a100-sxm4-80gb": 0.0447, "h100-sxm5-80gb": 0.0297}
    for name, measured_s in published_s.items():
        device = catalog.accelerator(name)
        host = EngineHost.of(SHELF.get("vllm-2023-eager"), device, layers=model.layers)
        assert host.waiting_s(1) + host.beside_s(1, prompts=False) == pytest.approx(measured_s, rel=0.15)


def test_one_host_overhead_replaces_what_the_gpus_wait_for():
    device = catalog.accelerator("a100-sxm4-80gb")
    engine = SHELF.get("vllm-0.6")
    host = EngineHost.of(engine, device, layers=32, serial_s=7e-3)
    assert host.waiting_s(100) == 7e-3
    assert EngineHost.of(engine, device, layers=32).waiting_s(100) == pytest.approx(2.5e-3)
    assert EngineHost.of(engine, device, layers=32, graphs=False).captured_tokens == 0
