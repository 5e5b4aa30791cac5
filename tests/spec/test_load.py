"""Scenario files from disk: where they are found, what they refer to, how problems are placed."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from clustersim.errors import CannotRunError, InputError, Problem
from clustersim.spec import shipped
from clustersim.spec.cluster import LeafSpineSpec, StarSpec
from clustersim.spec.load import load, load_cluster
from clustersim.spec.scenario import Scenario

CASES = Path(__file__).parents[1] / "cases" / "valid"

SCENARIO = """\
name: x
cluster:
  topology: {topology}
workloads:
  - name: job
    kind: training
    model: gpt2
    gpus: 8
    micro_batch: 1
    steps: 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_topology_file_is_looked_for_beside_the_scenario(folder: Path) -> None:
    write(folder / "a/x.yaml", SCENARIO.format(topology="../b/t.yaml"))
    write(folder / "b/t.yaml", "{kind: star, nodes: 3, node: dgx-h100}")
    assert load("a/x.yaml").cluster.topology == StarSpec(kind="star", nodes=3, node="dgx-h100")


def test_a_problem_in_a_topology_file_has_that_files_name_and_position(folder: Path) -> None:
    write(folder / "a/x.yaml", SCENARIO.format(topology="../b/t.yaml"))
    write(folder / "b/t.yaml", "kind: star\nnodes: many\nnode: dgx-h100\n")
    with pytest.raises(
        InputError, match=r"^b/t\.yaml:2:1: cluster\.topology\.nodes: expected a whole number"
    ):
        load("a/x.yaml")


def test_the_dumped_machine_of_a_topology_file_elsewhere_is_found_from_the_scenario(folder: Path) -> None:
    write(folder / "a/x.yaml", SCENARIO.format(topology="../b/t.yaml"))
    site = "{name: %s, topology: {kind: star, nodes: 2, node: %s}}"
    members = ", ".join(site % pair for pair in (("here", "dumps/one.xml"), ("there", "dgx-h100")))
    links = "[{between: [here, there], bandwidth: 1 Gbit/s, latency: 1 ms}]"
    write(folder / "b/t.yaml", f"{{kind: sites, sites: [{members}], links: {links}}}")
    topology = load("a/x.yaml").cluster.topology
    assert [site.topology.node for site in topology.sites] == ["../b/dumps/one.xml", "dgx-h100"]  # type: ignore[union-attr]


def test_the_graph_of_a_topology_file_elsewhere_is_found_from_the_scenario(folder: Path) -> None:
    write(folder / "a/x.yaml", SCENARIO.format(topology="../b/t.yaml"))
    write(folder / "b/t.yaml", "{kind: graph, path: g.graphml}")
    assert load("a/x.yaml").cluster.topology.path == "../b/g.graphml"  # type: ignore[union-attr]


def test_later_checks_find_the_position_of_what_they_refuse() -> None:
    scenario = load(CASES / "two-tenants.yaml")
    found = scenario.locate(Problem(("workloads", 1, "model"), "no such model"))
    assert str(found) == f"{CASES / 'two-tenants.yaml'}:14:5: workloads[1].model: no such model"


def test_a_default_is_located_at_what_it_belongs_to() -> None:
    found = load(CASES / "two-tenants.yaml").locate(Problem(("workloads", 1, "scheduler", "max_batch"), "x"))
    assert (found.line, found.column) == (12, 5)


def test_a_problem_that_has_a_position_keeps_it() -> None:
    problem = Problem(("workloads",), "x", "trace.csv", 5, 1)
    assert load(CASES / "two-tenants.yaml").locate(problem) == problem


def test_an_error_is_located_as_a_whole_and_keeps_its_class() -> None:
    error = CannotRunError([Problem(("cluster",), "x"), Problem(("seed",), "y")])
    located = load(CASES / "two-tenants.yaml").locate_all(error)
    assert type(located) is CannotRunError
    assert [problem.line for problem in located.problems] == [3, 2]


def test_a_scenario_from_python_has_no_positions() -> None:
    scenario = Scenario.from_dict({**load(CASES / "minimal.yaml").model_dump(mode="json")})
    assert scenario.locate(Problem(("seed",), "x")) == Problem(("seed",), "x")
    assert scenario.source_file is None
    assert scenario.base_dir is None


def test_a_dictionary_may_name_a_topology_file() -> None:
    data = load(CASES / "minimal.yaml").model_dump(mode="json")
    data["cluster"]["topology"] = "topologies/small-star.yaml"
    assert Scenario.from_dict(data, base_dir=CASES).cluster.topology.nodes == 4  # type: ignore[union-attr]


def test_a_scenario_survives_pickling_with_its_positions() -> None:
    scenario = load(CASES / "leaf-spine-everything.yaml")
    copy = pickle.loads(pickle.dumps(scenario))
    assert copy == scenario
    assert copy.base_dir == scenario.base_dir
    assert copy.locate(Problem(("run",), "x")) == scenario.locate(Problem(("run",), "x"))


def test_two_scenarios_are_equal_wherever_they_came_from(tmp_path: Path) -> None:
    shutil.copy(CASES / "minimal.yaml", tmp_path / "other.yaml")
    assert load(tmp_path / "other.yaml") == load(CASES / "minimal.yaml")


def test_the_cluster_of_a_topology_file_has_the_default_fabric() -> None:
    file = load_cluster(CASES / "topologies/small-star.yaml")
    assert isinstance(file.cluster.topology, StarSpec)
    assert file.base_dir == CASES / "topologies"


def test_the_cluster_of_a_scenario_file_is_taken_as_it_is() -> None:
    file = load_cluster(CASES / "leaf-spine-everything.yaml")
    assert isinstance(file.cluster.topology, LeafSpineSpec)
    assert file.cluster.fabric.routing == "single-path"


@pytest.mark.parametrize("name", ["topologies/small-star.yaml", "minimal.yaml"])
def test_problems_of_a_cluster_are_located_in_either_sort_of_file(name: str) -> None:
    file = load_cluster(CASES / name)
    located = file.locate_all(InputError(Problem(("topology", "node"), "unknown")))
    assert located.problems[0].file == str(CASES / name)
    assert located.problems[0].line == 3


def test_a_topology_file_with_problems_is_refused_with_positions(folder: Path) -> None:
    write(folder / "t.yaml", "kind: star\nnodes: 0\n")
    with pytest.raises(
        InputError, match=r"t\.yaml:1:1: node: required .*\n.*t\.yaml:2:1: nodes: must be at least 1"
    ):
        load_cluster("t.yaml")


def test_the_working_folder_comes_before_the_shipped_scenarios(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ships = folder / "ships"
    write(ships / "scenarios/x.yaml", SCENARIO.format(topology="../topologies/t.yaml"))
    write(ships / "topologies/t.yaml", "{kind: star, nodes: 3, node: dgx-h100}")
    monkeypatch.setattr(shipped, "folder", lambda kind: ships / kind)
    scenario = load("scenarios/x.yaml")
    assert scenario.base_dir == ships / "scenarios"
    assert scenario.source_file == "scenarios/x.yaml"
    write(folder / "scenarios/x.yaml", SCENARIO.format(topology="{kind: star, nodes: 9, node: dgx-h100}"))
    assert load("scenarios/x.yaml").cluster.topology.nodes == 9  # type: ignore[union-attr]


def test_a_name_that_is_nearly_a_shipped_one_gets_it_proposed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "ships/scenarios/chat.yaml", "")
    monkeypatch.setattr(shipped, "folder", lambda kind: folder / "ships" / kind)
    with pytest.raises(
        InputError, match=r"scenarios/chta\.yaml: no such file\. Did you mean 'scenarios/chat\.yaml'"
    ):
        load("scenarios/chta.yaml")


def test_shipped_files_are_found_in_the_source_tree() -> None:
    names = shipped.names("scenarios")
    assert "scenarios/ddp-and-chat-on-one-fabric.yaml" in names
    assert all(shipped.find(name).is_file() for name in names)


@pytest.mark.parametrize("name", shipped.names("scenarios"))
def test_every_shipped_scenario_loads(name: str) -> None:
    assert load(name).workloads


@pytest.mark.parametrize("name", shipped.names("topologies"))
def test_every_shipped_topology_loads(name: str) -> None:
    assert load_cluster(name).cluster.topology


def test_a_scenario_of_a_hundred_thousand_lines_loads(tmp_path: Path) -> None:
    head, job = SCENARIO.format(topology="{kind: star, nodes: 1, node: dgx-h100}").split("  - name: job\n")
    jobs = "".join(f"  - name: job{number}\n{job}" for number in range(16_666))
    path = write(tmp_path / "long.yaml", head + jobs)
    scenario = load(path)
    assert len(scenario.workloads) == 16_666
