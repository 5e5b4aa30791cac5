"""Plan search on a small cluster, with the simulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.errors import CannotRunError, InputError
from clustersim.study.plan import Plan
from clustersim.study.plan.evaluator import Evaluator, Simulate
from clustersim.study.plan.job import describe_plan, space_of
from clustersim.study.plan.reasons import PARTS
from clustersim.study.plan.result import COLUMNS
from clustersim.study.plan.space import RULES, Limits

STAR = "topologies/star-dgx-a100-2.yaml"
SMALL: dict[str, Any] = {
    "gpus": 8,
    "global_batch": 8,
    "sequence": 512,
    "max_micro_batch": 1,
    "max_tensor": 2,
    "max_pipeline": 2,
}


def small(**fields: Any) -> Plan:
    return cs.plan("gpt2-medium", STAR, **SMALL | {"jobs": 1} | fields)


@pytest.fixture(scope="module")
def planned() -> Plan:
    return small(top=3)


@pytest.fixture(scope="module")
def whole() -> Plan:
    return small(top=1000)


def test_the_bound_changes_nothing_but_what_is_simulated(planned: Plan, whole: Plan) -> None:
    assert planned.found.pruned
    assert not whole.found.pruned
    assert [each.words for each in planned.ranking] == [each.words for each in whole.ranking[:3]]
    assert [each.words for each in planned.pareto] == [each.words for each in whole.pareto]


def test_no_bound_is_above_the_simulated_time(whole: Plan) -> None:
    assert all(each.assessed.bound_s <= each.iteration_s for each in whole.found.simulated)


def test_processes_of_their_own_give_the_same_answer(planned: Plan) -> None:
    assert small(top=3, jobs=2).to_json() == planned.to_json()


def test_the_parts_of_each_layout_add_up_to_its_time(whole: Plan) -> None:
    frame = whole.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert frame[list(PARTS)].sum(axis=1).to_numpy() == pytest.approx(frame.iteration_s.to_numpy())


def test_every_layout_has_its_reason(whole: Plan) -> None:
    assert whole.reason(whole.best).startswith("best: kernels ")
    assert all(whole.reason(each) for each in whole.found.simulated)


def test_the_best_layout_runs_as_a_scenario_of_its_own(planned: Plan) -> None:
    result = cs.run(planned.scenario_of(planned.best, steps=1))
    iteration_s = result.outcomes["plan"].metrics["iteration_s.mean"]
    assert iteration_s == pytest.approx(planned.best.iteration_s, rel=1e-9)


def test_a_plan_is_kept_and_gone_on_with(tmp_path: Path, planned: Plan, monkeypatch: Any) -> None:
    kept = small(top=3, out=tmp_path)
    names = {"best.yaml", "layouts.csv", "plan.json", "results.jsonl", "summary.txt"}
    assert names | {"trade-off.png", "trade-off.svg"} == {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "plan.json").read_text()) == planned.document()
    assert cs.load(tmp_path / "best.yaml").workloads[0].parallelism == kept.best.spec.parallelism
    monkeypatch.setattr(Evaluator, "simulate", _never)
    assert small(top=3, out=tmp_path, resume=True).to_json() == planned.to_json()


def _never(self: Evaluator, spec: Any) -> Any:
    raise AssertionError("simulated again")


def test_a_layout_that_fails_does_not_cost_the_others(planned: Plan) -> None:
    evaluator = Evaluator(planned.scenario)
    impossible = planned.best.spec.model_copy(update={"micro_batch": 7})
    answer = evaluator(Simulate(impossible))
    assert not isinstance(answer, tuple)
    assert "not a multiple" in answer.error


# what is looked at --------------------------------------------------------------------


def layouts(model: str, *, gpus: int, global_batch: int, **job: Any) -> list[dict[str, Any]]:
    from clustersim.study.plan.layouts import layout_fields

    scenario = describe_plan(model, STAR, gpus=gpus, global_batch=global_batch, job=job, changes={})
    space, _ = space_of(scenario, Limits())
    return [layout_fields(spec) for ladder in space.ladders() for spec in ladder]


def test_all_layouts_divide_the_job() -> None:
    for layout in layouts("mixtral-8x7b", gpus=16, global_batch=48, sequence=8192):
        grid = layout["tensor"] * layout["context"] * layout["pipeline"] * layout["data"]
        assert grid == 16
        assert layout["micro_batches"] * layout["micro_batch"] * layout["data"] == 48
        assert layout["micro_batches"] >= layout["pipeline"]


def test_context_groups_are_for_long_sequences() -> None:
    sizes = {
        sequence: {
            layout["context"] for layout in layouts("llama-2-7b", gpus=16, global_batch=16, sequence=sequence)
        }
        for sequence in (4096, 16384)
    }
    assert sizes == {4096: {1}, 16384: {1, 2, 4}}


def test_no_layout_is_looked_at_twice() -> None:
    found = [
        tuple(layout.items()) for layout in layouts("mixtral-8x7b", gpus=16, global_batch=32, sequence=8192)
    ]
    assert len(set(found)) == len(found)


def test_models_without_layers_that_divide_get_data_parallelism_alone() -> None:
    found = layouts("resnet-50", gpus=16, global_batch=64)
    assert {(layout["tensor"], layout["pipeline"]) for layout in found} == {(1, 1)}


def test_the_documentation_states_every_rule() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "plan.md").read_text().split())
    assert all(rule in page for rule in RULES)


# what is refused ----------------------------------------------------------------------


def test_an_unknown_model_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'gpt2-medium'"):
        cs.plan("gpt2-medum", STAR, gpus=8, global_batch=16)


def test_more_gpus_than_there_are_are_refused() -> None:
    with pytest.raises(CannotRunError, match="17 GPUs are asked for, the cluster has 16"):
        cs.plan("gpt2-medium", STAR, gpus=17, global_batch=16)


def test_where_nothing_fits_the_nearest_layout_is_told() -> None:
    with pytest.raises(
        CannotRunError, match=r"none of \d+ layouts fits into 40 GiB .* nearest is TP.* needs"
    ):
        cs.plan("llama-2-70b", STAR, gpus=8, global_batch=8, max_tensor=2, max_pipeline=2)


def test_a_batch_that_no_layout_divides_is_refused() -> None:
    with pytest.raises(InputError, match="no layout of 5 GPUs divides a global batch of 3 and bert-large"):
        cs.plan("bert-large", STAR, gpus=5, global_batch=3)


def test_where_no_layout_can_be_made_the_reason_is_told() -> None:
    with pytest.raises(InputError, match=r"no layout can be made; .*: precision: .*fp8"):
        small(precision="fp8")


def test_resuming_needs_a_folder() -> None:
    with pytest.raises(InputError, match="name it as 'out'"):
        cs.plan("bert-large", STAR, gpus=8, global_batch=8, resume=True)


def test_what_all_layouts_share_can_be_changed() -> None:
    slower = small(
        top=1, changes={"cluster.fabric.bandwidth": "10 Gbit/s", "workloads.plan.optimizer": "sgd"}
    )
    assert slower.best.spec.optimizer == "sgd"
