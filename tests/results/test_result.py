"""What a run gives back."""

from __future__ import annotations

import csv
import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim
import synthetic_result
from clustersim.errors import InputError
from clustersim.results import Ending
from clustersim.results.saving import load_metrics


def test_a_result_cannot_be_changed() -> None:
    made = synthetic_result.result()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.seed = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.outcomes["other"] = made.outcomes["chat"]  # type: ignore[index]
    with pytest.raises(TypeError):
        made.outcomes["chat"].metrics["ttft_s.p99"] = 0.0  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        made.outcomes["chat"].tables["requests"]["ttft_s"][0] = 0.0
    with pytest.raises(ValueError, match="read-only"):
        made.fabric.utilization[0, 0] = 1.0


def test_freezing_leaves_the_arrays_of_the_workload_writable() -> None:
    outcome = synthetic_result.training()
    synthetic_result.result(outcomes={"pretrain": outcome})
    outcome.tables["iterations"]["start_s"][0] = 1.0


def test_changing_a_frame_does_not_change_the_result() -> None:
    made = synthetic_result.result()
    frame = made.requests("chat")
    frame.loc[0, "ttft_s"] = 99.0
    assert made.requests("chat")["ttft_s"].iloc[0] == pytest.approx(0.1)


def test_frames_hold_what_the_tables_hold() -> None:
    made = synthetic_result.result()
    for name, table in (("pretrain", "iterations"), ("chat", "requests"), ("chat", "steps")):
        frame = made.table(name, table)
        for column, values in made.outcomes[name].tables[table].items():
            np.testing.assert_array_equal(frame[column].to_numpy(), values)


def test_a_frame_says_which_run_it_comes_from() -> None:
    attributes = synthetic_result.result(ending=Ending.INTERRUPTED).iterations("pretrain").attrs
    assert attributes == {
        "scenario": "synthetic",
        "seed": 3,
        "version": "0.0.0",
        "content_hash": "0123456789abcdef" * 4,
        "complete": False,
        "workload": "pretrain",
        "table": "iterations",
    }


def test_the_frame_of_all_metrics_is_tidy_and_has_units() -> None:
    made = synthetic_result.result()
    frame = made.to_frame()
    assert list(frame.columns) == ["workload", "metric", "value", "unit"]
    assert len(frame) == sum(len(metrics) for metrics in made.metrics().values())
    units = frame.set_index(["workload", "metric"])["unit"]
    assert units["chat", "ttft_s.p99"] == "s"
    assert units["pretrain", "bus_bandwidth_bytes_per_s"] == "B/s"
    assert units["fabric", "carried_bytes"] == "B"


def test_links_are_listed_busiest_first() -> None:
    frame = synthetic_result.result().links()
    assert list(frame["link"]) == [
        synthetic_result.UPLINK,
        synthetic_result.DOWNLINK,
        synthetic_result.NVLINK,
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda made: made.requests("chta"), "no workload is named 'chta'. Did you mean 'chat'?"),
        (lambda made: made.table("chat", "request"), "has no table 'request'. Did you mean 'requests'?"),
        (lambda made: made.requests("pretrain"), "workload 'pretrain' has no table 'requests'"),
        (lambda made: made.fabric.link("leaf0>spine1"), "Did you mean 'leaf0>spine0'?"),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError) as caught:
        call(synthetic_result.result())
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic result in a folder, with the rates of its flows and tables in both formats."""
    made = synthetic_result.result(flows=synthetic_result.rates())
    return made.save(tmp_path_factory.mktemp("saved"), formats=("csv", "parquet"))


def test_a_saved_result_gives_its_metrics_back(saved: Path) -> None:
    made = synthetic_result.result()
    loaded = load_metrics(saved)
    assert loaded["metrics"] == made.metrics()
    assert loaded["provenance"]["content_hash"] == made.content_hash
    assert loaded["provenance"]["complete"] is True
    assert loaded == json.loads(made.to_json())


def test_saving_writes_every_part_and_leaves_no_temporary_file(saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    tables = (
        "pretrain.iterations",
        "pretrain.passes",
        "pretrain.memory",
        "chat.requests",
        "chat.steps",
        "fabric.links",
        "fabric.sharing",
        "fabric.rates",
    )
    pictures = (
        "attribution",
        "link_utilization",
        "fabric",
        "pretrain.iteration_breakdown",
        "pretrain.pipeline",
        "pretrain.memory",
        "pretrain.gantt",
        "pretrain.flow_rates",
        "chat.latency_cdf",
        "chat.latency_timeline",
        "chat.kv_occupancy",
        "chat.engine_use",
    )
    assert names == {
        "scenario.yaml",
        "metrics.json",
        "summary.txt",
        "trace.perfetto.json.gz",
        *(f"tables/{name}.{suffix}" for name in tables for suffix in ("csv", "parquet")),
        *(f"pictures/{name}.{suffix}" for name in pictures for suffix in ("png", "svg")),
    }


def test_saved_tables_read_back_bit_for_bit(saved: Path) -> None:
    made = synthetic_result.result()
    with (saved / "tables/chat.requests.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column in ("arrival_s", "ttft_s", "e2e_s"):
        assert [float(row[column]) for row in rows] == made.requests("chat")[column].tolist()


def test_saved_rows_of_sharing_and_rates_are_those_of_the_result(saved: Path) -> None:
    made = synthetic_result.result(flows=synthetic_result.rates())
    sharing = pd.read_csv(saved / "tables/fabric.sharing.csv")
    pd.testing.assert_frame_equal(sharing, made.sharing(), check_dtype=False)
    rates = pd.read_csv(saved / "tables/fabric.rates.csv")
    assert rates["rate_bytes_per_s"].tolist() == made.flows.rate("pretrain")["rate_bytes_per_s"].tolist()
    uplink = json.loads((saved / "metrics.json").read_text())["busiest_links"][0]
    assert uplink["shared_by"] == {"pretrain": 15e9, "chat": 3.75e9}


def test_the_saved_scenario_is_the_one_that_ran(saved: Path) -> None:
    made = synthetic_result.result()
    assert (saved / "scenario.yaml").read_text() == made.scenario.resolved_yaml()


def test_a_saved_scenario_finds_its_input_files_from_where_it_was_saved(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "requests.csv").write_text("arrived_at,prompt,output\n0,100,5\n0,50,1\n2,80,9\n")
    (home / "chat.yaml").write_text(
        "name: chat\ncluster: {topology: {kind: star, nodes: 1, node: dgx-h100}}\nworkloads:\n"
        "  - {name: chat, kind: inference, model: llama-2-7b, arrivals: {kind: trace, path: requests.csv}}\n"
    )
    made = clustersim.run(clustersim.load(home / "chat.yaml"), seed=5)
    made.save(tmp_path / "kept" / "here")
    again = clustersim.run(clustersim.load(tmp_path / "kept" / "here" / "scenario.yaml"))
    assert again.seed == 5
    assert again.metrics() == made.metrics()


def test_an_interrupted_save_leaves_the_file_of_before(tmp_path: Path) -> None:
    from clustersim.results.atomic import atomic_path

    target = tmp_path / "metrics.json"
    target.write_text("before")

    def interrupted() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_an_unknown_table_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'parquet'"):
        synthetic_result.result().save(tmp_path / "out", formats=("parqet",))
    assert not (tmp_path / "out").exists()


def test_parquet_tables_hold_the_columns_bit_for_bit(saved: Path) -> None:
    result = synthetic_result.result()
    for name, outcome in result.outcomes.items():
        for table, columns in outcome.tables.items():
            frame = pd.read_parquet(saved / "tables" / f"{name}.{table}.parquet")
            assert list(frame.columns) == list(columns)
            for column, values in columns.items():
                np.testing.assert_array_equal(frame[column].to_numpy(), values)


def test_parquet_without_pyarrow_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("clustersim.results.saving.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install 'clustersim\\[parquet\\]'"):
        synthetic_result.result().save(tmp_path, formats=("parquet",))


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the result cannot be written"):
        synthetic_result.result().save(tmp_path / "file" / "out")


def test_a_result_survives_pickling() -> None:
    made = synthetic_result.result()
    assert pickle.loads(pickle.dumps(made)).to_json() == made.to_json()


def test_its_short_form_says_when_it_is_partial() -> None:
    assert repr(synthetic_result.result(ending=Ending.INTERRUPTED)) == (
        "<Result of 'synthetic': pretrain, chat; 2.05 s, seed 3, PARTIAL>"
    )
