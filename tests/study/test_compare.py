"""Variants of a scenario over the same seeds."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import CannotRunError, InputError
from clustersim.results import Ending
from clustersim.results.columns import FABRIC
from clustersim.spec.scenario import Scenario
from clustersim.study import runner
from clustersim.study.compare import compare
from clustersim.study.records import RunStore


def small(**changes: Any) -> Scenario:
    """A service on one node that answers a few requests: a run of some milliseconds."""
    made = Scenario.from_dict(
        {
            "name": "small",
            "seed": 5,
            "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100"}},
            "workloads": [
                {
                    "kind": "inference",
                    "name": "chat",
                    "model": "llama-2-7b",
                    "arrivals": {"kind": "poisson", "rate": "4 req/s"},
                    "lengths": {"prompt": 64, "output": 8},
                    "requests": 5,
                }
            ],
        }
    )
    return made.with_(**changes) if changes else made


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the runs that really ran."""
    seeds: list[int] = []
    real = runner.run

    def counted(scenario: Scenario, **more: Any) -> Any:
        seeds.append(scenario.seed)
        return real(scenario, **more)

    monkeypatch.setattr(runner, "run", counted)
    return seeds


def test_the_same_scenario_twice_runs_once_and_differs_by_nothing(calls: list[int]) -> None:
    comparison = compare({"one": small(), "two": small()}, seeds=2, jobs=1)
    assert sorted(calls) == [5, 6]
    assert {change.verdict for change in comparison.changes} == {"no difference"}
    assert all(change.change == 0.0 for change in comparison.changes)


def test_seeds_count_up_from_the_scenario_s_own(calls: list[int]) -> None:
    comparison = compare({"one": small(), "two": small(**{"workloads.chat.replicas": 2})}, seeds=3, jobs=1)
    assert comparison.seeds == (5, 6, 7)
    assert sorted(calls) == [5, 5, 6, 6, 7, 7]


def test_variants_see_the_same_arrivals() -> None:
    one, two = small(), small(**{"workloads.chat.replicas": 2})
    arrivals = [runner.run(scenario).requests("chat")["arrival_s"].tolist() for scenario in (one, two)]
    assert arrivals[0] == arrivals[1]


def test_processes_give_the_same_answer_as_one(calls: list[int]) -> None:
    variants = {"one": small(), "two": small(**{"workloads.chat.replicas": 2})}
    alone = compare(variants, seeds=1, jobs=1)
    spread = compare(variants, seeds=1, jobs=2)
    assert len(calls) == 2, "the second comparison must not run in this process"
    assert alone.changes == spread.changes


def test_progress_goes_from_nothing_to_all() -> None:
    seen: list[float] = []
    compare({"one": small(), "two": small()}, seeds=2, jobs=1, progress=lambda done, _: seen.append(done))
    assert seen == [0.0, 0.5, 1.0]


def test_a_variant_that_cannot_run_is_an_error_with_its_reason() -> None:
    huge = small(**{"workloads.chat.model": "llama-2-70b"})
    with pytest.raises(CannotRunError, match=r"no run of 'huge' finished: .*memory"):
        compare({"small": small(), "huge": huge}, seeds=1, jobs=1)


def test_one_failed_run_of_many_is_reported_and_the_others_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    real = runner.run

    def fails_once(scenario: Scenario, **more: Any) -> Any:
        if scenario.seed == 6:
            raise ZeroDivisionError("a bug")
        return real(scenario, **more)

    monkeypatch.setattr(runner, "run", fails_once)
    comparison = compare({"one": small(), "two": small(**{"workloads.chat.replicas": 2})}, seeds=3, jobs=1)
    assert [(run.variant, run.seed) for run in comparison.failures] == [("one", 6), ("two", 6)]
    assert "ZeroDivisionError: a bug (test_compare.py:" in comparison.failures[0].record.error
    assert {change.seeds for change in comparison.changes} == {2}


def test_an_interrupted_run_interrupts_the_comparison_and_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = runner.run
    note = ("interrupted at 1 s of simulated time",)
    monkeypatch.setattr(
        runner, "run", lambda scenario: replace(real(scenario), ending=Ending.INTERRUPTED, notes=note)
    )
    with pytest.raises(KeyboardInterrupt):
        compare({"one": small(), "two": small()}, seeds=2, jobs=1, store=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variants": {"one": small()}}, "at least two variants, got 1"),
        ({"variants": {"one": small(), "two": small()}, "seeds": 0}, "at least one seed"),
        ({"variants": {"one": small(), "two": small()}, "seeds": [1, 1]}, "each seed counts once; got 1, 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(**arguments)


def test_a_store_saves_runs_that_are_already_there(tmp_path: Path, calls: list[int]) -> None:
    variants = {"one": small(), "two": small(**{"workloads.chat.replicas": 2})}
    first = compare(variants, seeds=2, jobs=1, store=tmp_path)
    again = compare(variants, seeds=3, jobs=1, store=tmp_path)
    assert sorted(calls) == [5, 5, 6, 6, 7, 7]
    assert first.runs == again.runs[: len(first.runs)]


def test_a_damaged_file_of_a_store_is_run_again(tmp_path: Path, calls: list[int]) -> None:
    variants = {"one": small(), "two": small()}
    compare(variants, seeds=1, jobs=1, store=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text()[:40])
    compare(variants, seeds=1, jobs=1, store=tmp_path)
    assert calls == [5, 5]


def test_kept_metrics_are_those_of_the_run(tmp_path: Path) -> None:
    scenario = small()
    compare({"one": scenario, "two": scenario}, seeds=1, jobs=1, store=tmp_path)
    record = RunStore(tmp_path).get(scenario.content_hash())
    assert record is not None
    assert record.metrics == runner.run(scenario).metrics()
    assert FABRIC in record.metrics


def test_a_study_that_was_killed_goes_on_where_it_stopped(tmp_path: Path, calls: list[int]) -> None:
    seeds = 30
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_compare import compare, small\n"
        "twice = small(**{'workloads.chat.replicas': 2})\n"
        f"compare({{'one': small(), 'two': twice}}, seeds={seeds}, jobs=1, store=sys.argv[2])\n"
    )
    store = tmp_path / "store"
    with subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(store)]) as study:
        deadline = time.monotonic() + 60
        while len(list(store.glob("[!.]*.json"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        study.kill()
    kept = len(list(store.glob("[!.]*.json")))
    assert 3 <= kept < 2 * seeds
    comparison = compare(
        {"one": small(), "two": small(**{"workloads.chat.replicas": 2})}, seeds=seeds, jobs=1, store=store
    )
    assert len(calls) == 2 * seeds - kept
    assert len(comparison.runs) == 2 * seeds
    assert not comparison.failures
