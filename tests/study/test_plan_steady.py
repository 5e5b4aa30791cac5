"""Iterations of many micro-batches, worked out from two of few."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.spec.scenario import Scenario
from clustersim.spec.training import TrainingSpec
from clustersim.study.plan.evaluator import Evaluator, Simulate
from clustersim.study.plan.job import describe_plan
from clustersim.study.plan.layouts import Simulated
from clustersim.study.plan.steady import repeats

STAR = "topologies/star-dgx-a100-2.yaml"


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return describe_plan("gpt2-medium", STAR, gpus=16, global_batch=128, job={"sequence": 256}, changes={})


@pytest.fixture(scope="module")
def evaluator(scenario: Scenario) -> Evaluator:
    return Evaluator(scenario)


def both(evaluator: Evaluator, scenario: Scenario, **layout: Any) -> tuple[Simulated, Simulated]:
    base = scenario.workloads[0]
    assert isinstance(base, TrainingSpec)
    spec = base.model_copy(update={"parallelism": base.parallelism.model_copy(update=layout)})
    assert repeats(spec)
    estimated, whole = evaluator(Simulate(spec, whole=False)), evaluator(Simulate(spec))
    assert not isinstance(estimated, tuple)
    assert not isinstance(whole, tuple)
    assert whole.whole
    assert not estimated.whole
    return estimated, whole


@pytest.mark.parametrize(
    "layout",
    [
        {"tensor": 2, "pipeline": 4, "zero": 1},
        {"pipeline": 4, "tensor": 2, "schedule": "zero-bubble"},
        {"tensor": 2, "pipeline": 4, "virtual_stages": 2},
        {"pipeline": 4, "context": 2, "context_exchange": "all-gather"},
    ],
    ids=str,
)
def test_an_iteration_of_many_follows_from_two_of_few(
    evaluator: Evaluator, scenario: Scenario, layout: dict[str, Any]
) -> None:
    estimated, whole = both(evaluator, scenario, **layout)
    assert estimated.iteration_s == pytest.approx(whole.iteration_s, rel=1e-9)
    for name in ("mfu", "samples_per_s", "tokens_per_s"):
        assert estimated.metrics[name] == pytest.approx(whole.metrics[name], rel=1e-9)
    for name in ("compute_s", "bubble_s", "exposed_tensor_s"):
        assert estimated.metrics[name] == pytest.approx(whole.metrics[name], abs=0.01 * whole.iteration_s)


def test_where_sends_and_rings_meet_it_is_within_half_a_percent(
    evaluator: Evaluator, scenario: Scenario
) -> None:
    estimated, whole = both(evaluator, scenario, tensor=2, pipeline=4, virtual_stages=2, context=2)
    assert estimated.iteration_s == pytest.approx(whole.iteration_s, rel=5e-3)


def test_short_iterations_are_simulated_whole(scenario: Scenario) -> None:
    base = scenario.workloads[0]
    assert isinstance(base, TrainingSpec)
    deep = base.parallelism.model_copy(update={"pipeline": 8})
    assert not repeats(base.model_copy(update={"parallelism": deep, "global_batch": 30}))
