"""Each command: what it calls and what it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clustersim.cli._arguments import parse_settings, parse_variant
from clustersim.errors import CannotRunError, InputError
from clustersim.results import Ending
from clustersim.spec.scenario import Scenario

Say = Callable[..., Any]


# run ----------------------------------------------------------------------------------


def test_run_prints_the_summary_on_stdout_and_nothing_on_stderr(say: Say, runner: Any, minimal: Path) -> None:
    assert say("run", minimal) == (0, "summary of minimal\n", "")


def test_run_with_json_prints_only_json(say: Say, runner: Any, minimal: Path) -> None:
    said = say("run", minimal, "--json", "--progress")
    assert json.loads(said.out) == {"seed": 1}


def test_run_passes_seed_and_settings_on(say: Say, runner: Any, minimal: Path) -> None:
    say("run", minimal, "--seed", 3, "--set", "cluster.fabric.bandwidth=800Gbit/s", "--set", "seed=9")
    scenario, seed, _ = runner.calls[0]
    assert (scenario.cluster.fabric.bandwidth, scenario.seed, seed) == (100e9, 9, 3)


@pytest.mark.parametrize("options", [(), ("--rates",)])
def test_run_keeps_rates_of_flows_only_where_asked_to(
    say: Say, runner: Any, minimal: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    say("run", minimal, "--out", tmp_path / "new", *options)
    assert runner.calls[0][2] == bool(options)


def test_run_refuses_to_keep_rates_nowhere(say: Say, runner: Any, minimal: Path) -> None:
    said = say("run", minimal, "--rates")
    assert (said.code, said.err) == (2, "--rates are kept in a folder; say in which one with --out DIR\n")
    assert not runner.calls


def test_run_keeps_the_result_in_a_folder_and_says_where(
    say: Say, runner: Any, minimal: Path, tmp_path: Path
) -> None:
    said = say("run", minimal, "--out", tmp_path / "new", "--format", "csv")
    assert runner.results[0].saved == [(tmp_path / "new", ("csv",))]
    assert said.err == f"kept in {tmp_path / 'new'}\n"


def test_run_refuses_a_file_as_folder_before_it_runs(say: Say, runner: Any, minimal: Path) -> None:
    said = say("run", minimal, "--out", minimal)
    assert said.code == 2
    assert "is a file, a folder is due" in said.err
    assert not runner.calls


def test_run_shows_progress_on_stderr_only_where_wanted(say: Say, runner: Any, minimal: Path) -> None:
    assert say("run", minimal, "--no-progress").err == ""
    shown = say("run", minimal, "--progress")
    assert "simulated 12 s" in shown.err
    assert shown.out == "summary of minimal\n"


def test_an_interrupted_run_keeps_its_partial_result_and_says_so(
    say: Say, runner: Any, minimal: Path, tmp_path: Path
) -> None:
    runner.ending = {"ending": Ending.INTERRUPTED, "notes": ("interrupted at 3 s of simulated time",)}
    said = say("run", minimal, "--out", tmp_path)
    assert said.code == 130
    assert said.out == "summary of minimal\n"
    assert said.err.endswith("partial result: interrupted at 3 s of simulated time\n")
    assert runner.results[0].saved


def test_a_run_in_which_nothing_can_move_any_more_exits_with_3(say: Say, runner: Any, minimal: Path) -> None:
    runner.ending = {"ending": Ending.STALLED, "notes": ("nothing can move any more at 3 s",)}
    assert say("run", minimal).code == CannotRunError.exit_code


# check, resolve -----------------------------------------------------------------------


def test_check_prints_what_the_runner_found(say: Say, minimal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = SimpleNamespace(text=lambda: "can run")
    monkeypatch.setattr("clustersim.study.prepare.check", lambda scenario: report)
    assert say("check", minimal) == (0, "can run\n", "")


def test_resolve_prints_the_golden_twin(say: Say, minimal: Path) -> None:
    assert say("resolve", minimal).out == minimal.with_suffix(".resolved.yaml").read_text()


def test_resolve_applies_settings(say: Say, minimal: Path) -> None:
    assert (
        "bandwidth: 800 Gbit/s" in say("resolve", minimal, "--set", "cluster.fabric.bandwidth=0.8Tbit/s").out
    )


def test_a_setting_that_leads_nowhere_is_refused(say: Say, minimal: Path) -> None:
    said = say("resolve", minimal, "--set", "cluster.fabric.bandwith=1")
    assert said == (2, "", "cluster.fabric.bandwith: unknown field. Did you mean 'bandwidth'?\n")


# compare ------------------------------------------------------------------------------


class StandInCompare:
    """Records how `compare` is called."""

    def __init__(self) -> None:
        self.variants: dict[str, Scenario] = {}
        self.options: dict[str, Any] = {}
        self.failures: tuple[Any, ...] = ()
        self.saved: list[Path] = []

    def __call__(self, variants: dict[str, Scenario], *, progress: Any, **options: Any) -> Any:
        progress(0.5, 12.0)
        self.variants, self.options = variants, options
        return SimpleNamespace(
            failures=self.failures,
            summary=lambda *, width: "a table",
            to_json=lambda: "{}",
            save=self.saved.append,
        )


@pytest.fixture
def comparing(monkeypatch: pytest.MonkeyPatch) -> StandInCompare:
    stand_in = StandInCompare()
    monkeypatch.setattr("clustersim.study.compare.compare", stand_in)
    return stand_in


def test_compare_takes_all_settings_together_as_one_variant(say: Say, comparing: Any, minimal: Path) -> None:
    said = say(
        "compare", minimal, "--set", "cluster.fabric.bandwidth=800Gbit/s", "--set", "seed=3", "--seeds", 2
    )
    assert said == (0, "a table\n", "")
    assert list(comparing.variants) == ["baseline", "bandwidth=800Gbit/s, seed=3"]
    assert [one.cluster.fabric.bandwidth for one in comparing.variants.values()] == [None, 100e9]
    assert comparing.options["seeds"] == 2


def test_compare_takes_labelled_variants_and_other_files(say: Say, comparing: Any, minimal: Path) -> None:
    other = minimal.with_name("two-tenants.yaml")
    twice = "twice: cluster.fabric.bandwidth=800 Gbit/s, workloads.pretrain.steps=4"
    say("compare", minimal, other, "--variant", twice, "--variant", "more: workloads.pretrain.gpus=16")
    assert list(comparing.variants) == ["baseline", "two-tenants", "twice", "more"]
    assert comparing.variants["twice"].workloads[0].steps == 4
    assert comparing.variants["more"].cluster.fabric.bandwidth is None


def test_compare_prints_json_keeps_files_and_passes_options(
    say: Say, comparing: Any, minimal: Path, tmp_path: Path
) -> None:
    said = say(
        "compare",
        minimal,
        "--set",
        "seed=1",
        "--jobs",
        2,
        "--json",
        "--out",
        tmp_path,
        "--store",
        tmp_path / "s",
    )
    assert said.out == "{}\n"
    assert comparing.saved == [tmp_path]
    assert comparing.options == {"seeds": 5, "jobs": 2, "store": tmp_path / "s"}


def test_compare_with_failed_runs_exits_with_3(say: Say, comparing: Any, minimal: Path) -> None:
    comparing.failures = ("a run",)
    assert say("compare", minimal, "--set", "seed=1").code == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to compare with: give another scenario, --set or --variant"),
        (["--variant", "cluster.fabric.bandwidth=1"], "is not 'label: path=value, path=value'"),
        (["--variant", "a: seed=1", "--variant", "a: seed=2"], "two variants are called 'a'"),
        (["--set", "seed"], "'seed' is not PATH=VALUE"),
    ],
)
def test_compare_refuses_what_makes_no_comparison(
    say: Say, comparing: Any, minimal: Path, arguments: list[str], message: str
) -> None:
    said = say("compare", minimal, *arguments)
    assert said.code == 2
    assert message in said.err


def test_commas_inside_a_value_do_not_end_a_setting() -> None:
    label, changes = parse_variant("two nodes: workloads.x.placement={nodes: [0, 1]}, seed=4")
    assert label == "two nodes"
    assert changes == {"workloads.x.placement": {"nodes": [0, 1]}, "seed": 4}


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_settings(["description=a=b"]) == {"description": "a=b"}
    with pytest.raises(InputError, match="is not a value"):
        parse_settings(["description=a: b: c"])


# topology, catalog, validate, schema ----------------------------------------------------


def test_topology_show_describes_a_topology_file_or_a_scenario(say: Say, minimal: Path) -> None:
    said = say("topology", "show", minimal)
    assert said.code == 0
    assert "2 with 16" in said.out
    assert "4 with" in say("topology", "show", minimal.parent / "topologies" / "small-star.yaml").out


def test_topology_show_draws_where_asked_to(say: Say, minimal: Path, tmp_path: Path) -> None:
    said = say("topology", "show", minimal, "--plot", tmp_path / "t.svg")
    assert said.err == f"drawn in {tmp_path / 't.svg'}\n"
    assert (tmp_path / "t.svg").stat().st_size > 0


def test_topology_show_with_json_prints_si_values(say: Say, minimal: Path) -> None:
    shown = json.loads(say("topology", "show", minimal, "--json").out)
    assert (shown["nodes"], sum(shown["gpus"].values())) == (2, 16)
    assert {tier["tier"] for tier in shown["tiers"]} >= {"scale-up", "nic"}


def test_topology_show_lists_topologies_where_there_is_no_such_file(say: Say) -> None:
    said = say("topology", "show", "nowhere.yaml")
    assert said.code == 2
    assert "topologies/dgx-h100-su32.yaml" in said.err
    assert "scenarios/" not in said.err


@pytest.mark.parametrize("name", ["picture", "picture.foo", "no-such-folder/picture.png"])
def test_a_picture_that_cannot_be_written_is_refused_at_once(say: Say, minimal: Path, name: str) -> None:
    said = say("topology", "show", minimal, "--plot", name)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("clustersim topology: argument --plot: ")


def test_a_topology_file_in_place_of_a_scenario_is_told_apart(say: Say, minimal: Path) -> None:
    said = say("check", minimal.parent / "topologies" / "small-star.yaml")
    assert said.code == 2
    assert "'clustersim topology show' reads it" in said.err


def test_topology_show_tells_where_an_unknown_node_type_stands(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("kind: star\nnodes: 2\nnode: dgx-h10\n")
    said = say("topology", "show", file)
    assert said.code == 2
    assert said.err.startswith(f"{file}:3:1: ")
    assert "Did you mean 'dgx-h100'?" in said.err


def test_catalog_shows_an_entry_a_kind_or_all_kinds(say: Say) -> None:
    assert "dgx-h100" in say("catalog", "dgx-h100").out
    assert "ethernet-100g" in say("catalog", "--kind", "links").out.splitlines()
    assert "models" in say("catalog").out


def test_catalog_takes_a_name_or_a_kind(say: Say) -> None:
    assert say("catalog", "dgx-h100", "--kind", "links").code == 2


def test_catalog_proposes_the_nearest_name(say: Say) -> None:
    said = say("catalog", "dgx-h10")
    assert said.code == 2
    assert "Did you mean 'dgx-h100'?" in said.err


class StandInValidation:
    title = "All of it"

    def __init__(self) -> None:
        self.tables: list[tuple[Path, ...]] = []

    def run(self, *tables: Path, progress: Any) -> Any:
        self.tables.append(tables)
        plot = lambda path: path.write_text("picture")  # noqa: E731
        return SimpleNamespace(
            text=lambda: "rows", to_json=lambda: "[]", to_csv=lambda: "id,error\n", plot=plot, left=0
        )


@pytest.fixture
def validation(monkeypatch: pytest.MonkeyPatch) -> StandInValidation:
    stand_in = StandInValidation()
    monkeypatch.setattr("clustersim.study.validation.registry", lambda: {"everything": stand_in})
    return stand_in


def test_validate_lists_what_there_is(say: Say, validation: Any) -> None:
    assert say("validate").out == "everything: All of it\n"


def test_validate_prints_rows_json_or_csv_and_draws(say: Say, validation: Any, tmp_path: Path) -> None:
    assert say("validate", "everything").out == "rows\n"
    assert say("validate", "everything", "--csv").out == "id,error\n"
    said = say("validate", "everything", "--json", "--plot", tmp_path / "p.png")
    assert said.out == "[]\n"
    assert (tmp_path / "p.png").read_text() == "picture"


def test_validate_takes_tables_of_ones_own(say: Say, validation: Any, tmp_path: Path) -> None:
    mine = [tmp_path / name for name in ("mine.csv", "yours.csv")]
    for table in mine:
        table.write_text("a,b\n")
    say("validate", "everything", "--table", mine[0])
    say("validate", "everything", "--table", *mine)
    assert validation.tables == [(mine[0],), tuple(mine)]
    said = say("validate", "everything", "--table", tmp_path / "nowhere.csv")
    assert said == (2, "", f"{tmp_path / 'nowhere.csv'}: no such file or folder\n")


def test_validate_proposes_the_nearest_name(say: Say, validation: Any) -> None:
    assert "Did you mean 'everything'?" in say("validate", "everythin").err


def test_schema_prints_the_schema_of_scenarios(say: Say) -> None:
    assert json.loads(say("schema").out)["title"] == "Scenario"


def test_schema_writes_all_schemas(say: Say, tmp_path: Path) -> None:
    said = say("schema", "--write", tmp_path / "new")
    assert said.out.splitlines() == [
        str(tmp_path / "new" / name) for name in ("scenario.json", "topology.json")
    ]
    assert json.loads((tmp_path / "new/topology.json").read_text())["title"] == "Topology"
