"""Explaining: workloads run as they are, and with each technique on or off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim import catalog
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.study.explain import Explanation, for_ranking_training
from clustersim.study.explain.smaller_model import next_smaller
from clustersim.study.explain.technique import Change
from clustersim.study.explain.unit_cost import UnitCost

SCENARIO: dict[str, Any] = {
    "name": "both",
    "cluster": {"topology": {"kind": "star", "nodes": 2, "node": "dgx-a100-80gb"}},
    "workloads": [
        {
            "name": "job",
            "kind": "training",
            "model": "gpt2-medium",
            "gpus": 8,
            "micro_batch": 2,
            "sequence": 512,
            "precision": "tf32",
            "steps": 2,
        },
        {
            "name": "chat",
            "kind": "inference",
            "model": "llama-3.1-8b",
            "arrivals": {"kind": "poisson", "rate": "4/s"},
            "lengths": {"prompt": 400, "output": 40},
            "slo": {"ttft": "1 s"},
            "requests": 12,
        },
    ],
}


@pytest.fixture(scope="module")
def study() -> Explanation:
    return cs.explain(cs.Scenario.from_dict(SCENARIO), jobs=1)


def _trial(study: Explanation, workload: str, technique: str) -> Any:
    return next(trial for trial in study[workload].trials if trial.technique == technique)


def test_mixed_precision_that_is_off_is_turned_on_and_found_faster(study: Explanation) -> None:
    trial = _trial(study, "job", "mixed precision")
    assert not trial.is_on
    assert trial.speed_up > 1.2
    scenario = cs.Scenario.from_dict(SCENARIO)
    having = cs.run(scenario.with_(**{"workloads.job.precision": "bf16"})).outcomes["job"].metrics
    assert trial.having.device_s == pytest.approx(8 / having["samples_per_s"], rel=1e-9)


def test_batching_that_is_on_is_turned_off_and_found_to_have_helped(study: Explanation) -> None:
    trial = _trial(study, "chat", "batching")
    assert trial.is_on
    assert trial.speed_up > 2.0


def test_the_best_technique_is_the_one_with_the_largest_speed_up_that_is_not_on(study: Explanation) -> None:
    for each in study.workloads:
        off = [trial for trial in each.ranking if not trial.is_on]
        assert each.best is not None
        assert each.best.speed_up == max(trial.speed_up or 0.0 for trial in off)


def test_what_cannot_be_tried_says_why(study: Explanation) -> None:
    assert "no fp8" in _trial(study, "job", "8-bit floating point").reason
    assert _trial(study, "job", "pruning").speed_up is None


def test_a_service_is_compared_at_full_load_and_its_latency_at_its_own(study: Explanation) -> None:
    cost = study["chat"].cost
    assert cost is not None
    own = study["chat"].outcome.metrics
    assert cost.device_s < 1 / own["requests_per_s"]
    assert cost.latency_s == own["tpot_s.p99"]


def test_the_summary_names_objective_devices_bottleneck_and_techniques(study: Explanation) -> None:
    text = study.summary(width=140)
    for words in (
        "TTFT within 1.00 s",
        "short iterations",
        "8 × a100",
        "where the time goes",
        "distillation",
    ):
        assert words in text


def test_documents_and_tables_hold_every_trial(study: Explanation, tmp_path: Path) -> None:
    trials = sum(len(each.trials) for each in study.workloads)
    assert len(study.frame()) == trials
    assert sum(len(each["techniques"]) for each in study.document()["workloads"]) == trials
    folder = study.save(tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {"explain.json", "summary.txt", "techniques.csv"}


def test_a_scenario_without_work_that_can_be_counted_has_no_cost() -> None:
    assert UnitCost.of({}, {"gpus": 1.0}) is None
    assert UnitCost.of({"samples_per_s": 4.0}, {"gpus": 2.0}) == UnitCost("sample", 0.5, "", 0.0, None, None)


@pytest.mark.parametrize(
    ("teacher", "student"),
    [("llama-2-70b", "llama-2-13b"), ("gpt2-xl", "gpt2-large"), ("resnet-50", None)],
)
def test_a_student_is_the_next_smaller_of_the_family(teacher: str, student: str | None) -> None:
    assert next_smaller(teacher) == student


def test_nothing_to_explain_is_refused() -> None:
    with pytest.raises(cs.InputError, match="at least one scenario"):
        cs.explain()


RANKING: dict[str, Any] = {
    "name": "ranking",
    "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100-80gb"}},
    "workloads": [
        {
            "name": "dlrm",
            "kind": "ranking-training",
            "model": "dlrm-nvidia-4b",
            "gpus": 4,
            "batch": 4096,
            "precision": "tf32",
            "steps": 3,
        },
        {
            "name": "feed",
            "kind": "ranking-inference",
            "model": "dlrm-nvidia-4b",
            "arrivals": {"kind": "poisson", "rate": "500 qps"},
            "candidates": {"kind": "fixed", "samples": 300},
            "slo": {"latency": "5 ms"},
            "queries": 60,
        },
    ],
}


def test_ranking_models_in_training_and_in_service_are_explained_by_techniques_of_their_own() -> None:
    study = cs.explain(cs.Scenario.from_dict(RANKING), jobs=1)
    tried = {each.name: {trial.technique for trial in each.ranking} for each in study.workloads}
    assert {"mixed precision", "planned sharding", "half-precision exchange"} <= tried["dlrm"]
    assert {"quantisation", "batching", "8-bit tables"} <= tried["feed"]
    assert _trial(study, "dlrm", "planned sharding").is_on
    assert _trial(study, "feed", "mixed precision").is_on
    assert _trial(study, "feed", "mixed precision").speed_up > 1.0


@pytest.mark.parametrize(("framework", "turns_on"), [("torchrec", False), ("tf2-sok", True)])
def test_the_plan_that_a_framework_has_is_what_another_is_compared_with(
    framework: str, turns_on: bool
) -> None:
    job = {"kind": "ranking-training", "name": "a", "model": "wide-and-deep", "gpus": 8, "batch": 64}
    spec = RankingTrainingSpec.model_validate(job | {"steps": 1, "framework": framework})
    planning = next(each for each in for_ranking_training.TECHNIQUES if each.name == "planned sharding")
    change = planning.change(spec, catalog.accelerator("a100-sxm4-80gb"))
    assert isinstance(change, Change)
    assert (change.words, change.turns_on) == ("greedy plan in place of table-wise", turns_on)
