"""Layouts of a replica: what is divided, what is repeated, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.mixture import feed_forward
from clustersim.cost.serving.data_groups import GroupLoad, busiest_group
from clustersim.cost.serving.experts import expert_operators
from clustersim.cost.serving.layout import ServingLayout
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.timer import RooflineTimer

H100 = "h100-sxm5-80gb"


def cost(model="llama-3-8b", **layout):
    return ServingCost(catalog.model(model), catalog.accelerator(H100), layout=ServingLayout(**layout))


@given(layers=st.integers(1, 200), pipeline=st.integers(1, 16))
def test_stages_have_all_layers_as_evenly_as_can_be(layers, pipeline):
    sizes = ServingLayout(pipeline=pipeline).stage_sizes(layers)
    assert sum(sizes) == layers
    assert max(sizes) - min(sizes) <= 1
    assert list(sizes) == sorted(sizes, reverse=True)


def test_the_stages_of_a_mixture_have_the_dense_layers_first():
    layout = ServingLayout(pipeline=4)
    assert layout.stages(catalog.model("deepseek-v3"))[0] == ((0, 3), (3, 13))
    assert layout.stages(catalog.model("deepseek-v3"))[3] == ((46, 15),)


@pytest.mark.parametrize("model", ["llama-3-8b", "mixtral-8x7b", "deepseek-v3", "qwen3-30b-a3b"])
@pytest.mark.parametrize("pipeline", [1, 2, 4])
def test_all_gpus_together_hold_every_parameter_once(model, pipeline):
    shape = catalog.model(model)
    held = sum(cost(model, pipeline=pipeline).stage_weight_bytes)
    tied = shape.vocab * shape.hidden if shape.tied_embeddings and pipeline > 1 else 0
    assert held == pytest.approx(2 * (shape.parameters + tied), rel=1e-4)


def test_experts_are_divided_over_all_gpus_of_a_stage_and_attention_is_repeated():
    shape = catalog.model("mixtral-8x7b")
    one, spread = cost("mixtral-8x7b"), cost("mixtral-8x7b", data=4, expert=4)
    experts = 2 * shape.layers * 8 * 3 * shape.hidden * shape.moe.ffn_hidden
    assert one.weight_bytes - spread.weight_bytes == pytest.approx(0.75 * experts, rel=1e-9)
    assert spread.kv_bytes_per_token == one.kv_bytes_per_token


@pytest.mark.parametrize("tokens", [1, 64, 4096])
def test_one_group_of_experts_on_one_gpu_is_the_plain_mixture(tokens):
    model = catalog.model("deepseek-v3")
    spread = expert_operators(model, tokens=tokens, routed=tokens, precision="bf16", layout=ServingLayout())
    plain = feed_forward(model, tokens=tokens, precision="bf16", tensor=1)
    assert sorted(spread, key=lambda o: o.name) == sorted(plain, key=lambda o: o.name)


def test_a_busier_group_of_experts_takes_longer():
    model = "qwen3-30b-a3b"
    times = [
        RooflineTimer(cost(model, data=8, expert=8, expert_load=load))
        .step(decodes=4096, context_sum=4096 * 100, chunks=(), sampled=4096)
        .seconds
        for load in (1.0, 1.5, 2.5)
    ]
    assert times[0] < times[1] < times[2]


def test_experts_on_more_gpus_make_a_decode_step_shorter():
    times = [
        RooflineTimer(cost("deepseek-v3", data=groups, expert=groups, expert_exchange="all-to-all"))
        .step(decodes=32 * groups, context_sum=32 * groups * 1000, chunks=(), sampled=32 * groups)
        .seconds
        for groups in (8, 32)
    ]
    assert times[1] < times[0]


@given(
    decodes=st.integers(0, 50),
    chunks=st.lists(st.tuples(st.integers(1, 500), st.integers(0, 100)), max_size=6),
    groups=st.integers(1, 8),
)
def test_the_busiest_data_group_has_the_most_tokens_and_no_more_than_there_are(decodes, chunks, groups):
    load = busiest_group(
        decodes=decodes, context_sum=10 * decodes, chunks=chunks, sampled=decodes, groups=groups
    )
    total = decodes + sum(new for new, _ in chunks)
    assert total / groups <= load.tokens <= total
    assert load.tokens == load.decodes + sum(new for new, _ in load.chunks)
    assert load.context_sum == pytest.approx(10 * load.decodes)


def test_the_stages_add_up_to_the_step():
    timer = RooflineTimer(cost(pipeline=4), host_s=2e-3)
    step = {"decodes": 5, "context_sum": 900, "chunks": [(100, 0)], "sampled": 6}
    stages = timer.stage_seconds(**step)
    assert len(stages) == 4
    assert sum(time.seconds for time in stages) == pytest.approx(timer.step(**step).seconds, rel=1e-12)
    whole = RooflineTimer(cost(), host_s=2e-3).step(**step).seconds
    assert timer.step(**step).seconds == pytest.approx(whole, rel=1e-12)
    assert stages[0].launch_s == pytest.approx(2e-3)
    assert stages[3].seconds > stages[1].seconds == stages[2].seconds


@pytest.mark.parametrize("layout", [{"pipeline": 3}, {"data": 4, "expert": 4}, {"data": 3}])
def test_a_decode_run_is_its_steps_in_every_layout(layout):
    timer = RooflineTimer(cost("mixtral-8x7b" if "expert" in layout else "llama-3-8b", **layout))
    run = timer.decode_run(decodes=10, context_sum=5000)
    for ahead in (0, 1, 70):
        step = timer.step(decodes=10, context_sum=5000 + 10 * ahead, chunks=(), sampled=10)
        assert run.first.seconds + ahead * run.growth.seconds == pytest.approx(step.seconds, rel=1e-9)


@pytest.mark.parametrize(
    ("model", "layout", "field", "words"),
    [
        ("llama-3-8b", {"tensor": 3}, "tensor", "do not divide the 32 heads"),
        ("llama-3-8b", {"pipeline": 40}, "pipeline", "more than the 32 layers"),
        ("llama-3-8b", {"tensor": 2, "expert": 2}, "expert", "has no experts"),
        ("mixtral-8x7b", {"data": 16, "expert": 16}, "expert", "take one of 1, 2, 4, 8"),
    ],
)
def test_layouts_that_do_not_divide_are_refused_with_a_reason(model, layout, field, words):
    ((found, reason),) = ServingLayout(**layout).problems(catalog.model(model))
    assert found == field
    assert words in reason


def test_work_counts_the_flops_of_the_model():
    served = cost()
    work = served.dense_work(128, 128)
    assert work.flops == pytest.approx(2 * 128 * (served.model.parameters - 128256 * 4096), rel=0.01)
    assert served.context_work.flops == pytest.approx(4 * 32 * 4096, rel=1e-9)
    assert served.context_work.bytes_moved == pytest.approx(served.kv_bytes_per_token, rel=1e-9)
    halves = cost(tensor=2)
    assert halves.dense_work(128, 128).flops == pytest.approx(work.flops, rel=1e-6)
    assert halves.peak_flops == 2 * served.peak_flops


def test_a_group_load_of_one_group_is_the_step_itself():
    load = busiest_group(decodes=3, context_sum=30, chunks=[(5, 0)], sampled=4, groups=1, queries=2)
    assert load == GroupLoad(3, 30, [(5, 0)], 4, 11)
