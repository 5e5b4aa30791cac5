"""Changing scenarios by dotted paths, and what identifies a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError, Problem
from clustersim.spec.cluster import FatTreeSpec, StarSpec
from clustersim.spec.load import load
from clustersim.spec.scenario import Scenario
from clustersim.units import BANDWIDTH, quantity

CASES = Path(__file__).parents[1] / "cases" / "valid"


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load(CASES / "two-tenants.yaml")


def test_a_field_is_changed_by_its_dotted_path_and_the_original_stays(scenario: Scenario) -> None:
    faster = scenario.with_(**{"cluster.fabric.bandwidth": "800 Gbit/s"})
    assert faster.cluster.fabric.bandwidth == 100e9
    assert scenario.cluster.fabric.bandwidth is None


@pytest.mark.parametrize("path", ["workloads.chat.replicas", "workloads[1].replicas", "workloads.1.replicas"])
def test_a_workload_is_named_by_name_or_index(scenario: Scenario, path: str) -> None:
    assert scenario.with_(**{path: 4}).workloads[1].replicas == 4  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 5),
        ("run.until", "3 s"),
        ("workloads.pretrain.overlap.gradient_bucket", "1 MiB"),
        ("workloads.chat.slo.ttft", "100 ms"),
        ("workloads.chat.arrivals.rate", "9 req/s"),
        ("workloads.pretrain.placement", {"nodes": [1]}),
        ("workloads.pretrain.placement.nodes", (0, 1)),
        ("cluster.changes", [{"at": "1 s", "link": "a>b", "capacity": 0}]),
        ("cluster.fabric.bandwidth", quantity("1 Tbit/s", BANDWIDTH)),
    ],
)
def test_groups_that_the_file_leaves_out_can_be_changed(scenario: Scenario, path: str, value: Any) -> None:
    changed = scenario.with_(**{path: value})
    assert changed != scenario
    assert changed.with_() == changed


def test_a_change_back_gives_an_equal_scenario(scenario: Scenario) -> None:
    assert scenario.with_(seed=99).with_(seed=7) == scenario
    assert scenario.with_() == scenario


def test_several_changes_are_checked_together(scenario: Scenario) -> None:
    timed = scenario.with_(**{"workloads.pretrain.steps": None, "workloads.pretrain.duration": "3 s"})
    assert timed.workloads[0].duration == 3.0


@pytest.mark.parametrize(
    "topology",
    [
        FatTreeSpec(kind="fat-tree", nodes=4, node="dgx-a100"),
        {"kind": "fat-tree", "nodes": 4, "node": "dgx-a100"},
    ],
)
def test_the_topology_is_replaced_by_a_model_or_a_mapping(scenario: Scenario, topology: Any) -> None:
    assert scenario.with_(**{"cluster.topology": topology}).cluster.topology.kind == "fat-tree"


def test_the_topology_is_replaced_by_a_file_beside_the_scenario(scenario: Scenario) -> None:
    changed = scenario.with_(**{"cluster.topology": "topologies/small-star.yaml"})
    assert changed.cluster.topology == StarSpec(kind="star", nodes=4, node="dgx-a100")
    located = changed.locate(Problem(("cluster", "topology", "node"), "unknown"))
    assert (located.file, located.line) == (str(CASES / "topologies/small-star.yaml"), 3)


def test_the_topology_is_replaced_by_a_file_in_the_working_folder(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("{kind: star, nodes: 77, node: dgx-a100}")
    monkeypatch.chdir(tmp_path)
    assert scenario.with_(**{"cluster.topology": "mine.yaml"}).cluster.topology.nodes == 77  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("cluster.fabrik", "cluster.fabrik: unknown field. Did you mean 'fabric'?"),
        ("sead", "sead: unknown field. Did you mean 'seed'?"),
        ("workloads.chatt.replicas", "workloads.chatt: there is nothing of that name. Did you mean 'chat'?"),
        ("workloads[2].replicas", "workloads[2]: there are 2 items, counted from 0"),
        ("workloads.pretrain.replicas", "workloads[0].replicas: unknown field."),
        ("seed.x", "seed.x: there are no fields in this one"),
        ("workloads.chat.arrivals.cv", "workloads[1].arrivals.cv: unknown field."),
        ("cluster.changes[0].at", "cluster.changes[0]: there are 0 items"),
        ("", "'' is no path"),
        ("a..b", "'a..b' is no path"),
        ("[0]", "'[0]' is no path"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(scenario: Scenario, path: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        scenario.with_(**{path: 1})
    assert str(refused.value).startswith(message)


def test_all_paths_that_lead_nowhere_are_told_at_once(scenario: Scenario) -> None:
    with pytest.raises(InputError) as refused:
        scenario.with_(**{"sead": 1, "cluster.fabrik": 2})
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("cluster.fabric.bandwidth", 800, "cluster.fabric.bandwidth: 800 has no unit"),
        ("workloads.chat.replicas", "4", "workloads[1].replicas: expected a whole number, got '4'"),
        ("cluster.topology", "nowhere.yaml", "cluster.topology: no such file: 'nowhere.yaml'"),
        ("cluster.topology.kind", "ring", "cluster.topology.kind: unknown kind 'ring'."),
        (
            "workloads.chat.name",
            "pretrain",
            "workloads[1].name: 'pretrain' is already the name of workloads[0]",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused_without_a_line_of_the_file(
    scenario: Scenario, path: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        scenario.with_(**{path: value})
    assert str(refused.value).startswith(message)


def test_fields_that_stayed_keep_their_positions_and_changed_ones_lose_theirs(scenario: Scenario) -> None:
    changed = scenario.with_(**{"workloads.chat.model": "opt-6.7b"})
    assert changed.locate(Problem(("workloads", 0, "model"), "x")).line == 8
    assert changed.locate(Problem(("workloads", 1, "model"), "x")).line is None
    assert changed.base_dir == scenario.base_dir


def test_fields_stay_implicit_so_that_their_defaults_follow(scenario: Scenario) -> None:
    changed = scenario.with_(seed=3)
    assert changed.workloads[0].model_fields_set == scenario.workloads[0].model_fields_set


def test_the_hash_is_the_same_for_equal_runs_and_follows_the_seed(scenario: Scenario) -> None:
    assert scenario.content_hash() == scenario.with_().content_hash() == scenario.content_hash(7)
    assert scenario.content_hash(8) == scenario.with_(seed=8).content_hash() != scenario.content_hash()
    assert len(scenario.content_hash()) == 64


def test_the_hash_is_the_same_whether_a_default_is_written_or_not(scenario: Scenario) -> None:
    explicit = scenario.with_(**{"workloads.chat.replicas": 1})
    assert explicit.content_hash() == scenario.content_hash()


def trace_scenario(scenario: Scenario, folder: Path) -> Scenario:
    data = scenario.model_dump(mode="json", exclude_unset=True)
    service = {**data["workloads"][1], "arrivals": {"kind": "trace", "path": "t.csv"}}
    del service["lengths"]
    return Scenario.from_dict({**data, "workloads": [service]}, base_dir=folder)


def test_the_hash_follows_the_content_of_input_files(scenario: Scenario, tmp_path: Path) -> None:
    traced = trace_scenario(scenario, tmp_path)
    (tmp_path / "t.csv").write_text("one")
    one = traced.content_hash()
    assert one == traced.content_hash()
    (tmp_path / "t.csv").write_text("two")
    assert traced.content_hash() != one


def test_an_input_file_that_is_missing_is_told_where_it_is_named(scenario: Scenario, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"workloads\[0\]\.arrivals\.path: 't\.csv' cannot be read: No such file"
    ):
        trace_scenario(scenario, tmp_path).content_hash()


@pytest.mark.parametrize("name", ["config.json", "checkpoint"])
def test_a_model_given_by_path_counts_in_the_hash(scenario: Scenario, tmp_path: Path, name: str) -> None:
    file = tmp_path / (name if name.endswith(".json") else f"{name}/config.json")
    file.parent.mkdir(exist_ok=True)
    data = scenario.with_(**{"workloads.pretrain.model": name}).model_dump(mode="json", exclude_unset=True)
    local = Scenario.from_dict(data, base_dir=tmp_path)
    file.write_text("{}")
    before = local.content_hash()
    file.write_text("{ }")
    assert local.content_hash() != before


def test_a_resolved_scenario_kept_elsewhere_still_finds_its_input_files(
    scenario: Scenario, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("one")
    traced = trace_scenario(scenario, tmp_path)
    kept = tmp_path / "out" / "run" / "scenario.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text(traced.resolved_yaml(folder=kept.parent))
    assert load(kept).workloads[0].arrivals.path == "../../t.csv"  # type: ignore[union-attr]
    assert "path: t.csv" in traced.resolved_yaml()
