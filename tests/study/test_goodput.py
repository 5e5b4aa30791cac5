"""A study of days: what it prints, keeps and finds best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.spec.scenario import Scenario
from clustersim.study.goodput import goodput
from clustersim.study.goodput_result import Goodput
from clustersim.workloads.training.reliability.account import USES

ITERATION_S = 2.0


def scenario(reliability: dict[str, Any] | None = None, **training: Any) -> Scenario:
    """Two nodes of a job that fails about every 16 hours, with storage that takes a while."""
    failures = {"like": "opt-175b", "node_mtbf": "32 h"}
    checkpoint = {"storage_bandwidth": "500 MB/s"}
    given = {"failures": failures, "checkpoint": checkpoint, "spares": 9, **(reliability or {})}
    job = {
        "name": "pretrain", "kind": "training", "model": "gpt2-xl", "gpus": 16, "micro_batch": 1,
        "sequence": 1024, "steps": 1, "reliability": given, **training,
    }  # fmt: skip
    topology = {"kind": "star", "nodes": 2, "node": "dgx-a100"}
    return Scenario.from_dict(
        {"name": "days", "seed": 3, "cluster": {"topology": topology}, "workloads": [job]}
    )


@pytest.fixture(scope="module")
def study() -> Goodput:
    return goodput(scenario(), days=30, seeds=6, iteration_s=ITERATION_S)


def test_shares_of_the_time_add_up_to_all_of_it(study: Goodput) -> None:
    metrics = study.metrics()
    assert sum(metrics[use.removesuffix("_s") + "_share"].mean for use in USES) == pytest.approx(1.0)
    assert metrics["goodput"].mean == metrics["useful_share"].mean


def test_tokens_per_day_are_those_of_useful_time(study: Goodput) -> None:
    expected = 16 * 1024 * 86400.0 / ITERATION_S * study.metrics()["goodput"].mean
    assert study.metrics()["tokens_per_day"].mean == pytest.approx(expected)


def test_dalys_interval_is_as_good_as_the_best_that_was_simulated(study: Goodput) -> None:
    intervals = study.intervals()
    nearest = min(study.points, key=lambda point: abs(point.interval_s - intervals["daly"]))
    assert nearest.behind < 0.003
    assert intervals["scenario"] == pytest.approx(intervals["daly"], abs=ITERATION_S / 2)
    assert study.best is not None
    assert study.best.behind == 0.0


def test_far_from_the_optimum_goodput_is_less_and_known_to_be(study: Goodput) -> None:
    first, last = study.points[0], study.points[-1]
    assert not first.as_good
    assert not last.as_good
    assert min(first.behind, last.behind) > 0.0


def test_the_closed_form_is_beside_synchronous_checkpoints_only(study: Goodput) -> None:
    assert study.closed_form == pytest.approx(study.metrics()["goodput"].mean, abs=0.02)
    beside = scenario({"checkpoint": {"mode": "asynchronous"}})
    assert goodput(beside, days=1, seeds=1, iteration_s=1.0, sweep=False).closed_form is None


def test_the_same_seed_gives_the_same_study(study: Goodput) -> None:
    assert goodput(scenario(), days=30, seeds=6, iteration_s=ITERATION_S).to_json() == study.to_json()
    other = goodput(scenario().with_(seed=50), days=30, seeds=6, iteration_s=ITERATION_S, sweep=False)
    assert other.metrics() != study.metrics()


def test_where_nothing_fails_there_is_no_interval_to_find() -> None:
    ideal = goodput(scenario({"failures": {"like": "ideal"}}), days=3, seeds=2, iteration_s=1.0)
    assert (ideal.points, ideal.best, ideal.metrics()["goodput"].mean) == ((), None, 1.0)
    assert "never fails" in ideal.summary()
    assert json.loads(ideal.to_json())["interval_s"] == {
        "scenario": 1e12, "young": None, "daly": None
    }  # fmt: skip


def test_the_iteration_is_simulated_where_it_is_not_given() -> None:
    found = goodput(scenario(), days=1, seeds=1, sweep=False).job.model.iteration_s
    slow = scenario(stragglers=[{"gpu": 3, "slowdown": 2.0}])
    jittery = scenario(kernel_jitter=0.1)
    assert 0.05 < found < 1.0
    assert goodput(slow, days=1, seeds=1, sweep=False).job.model.iteration_s > 1.5 * found
    assert goodput(jittery, days=1, seeds=1, sweep=False).job.model.iteration_s > found


def test_a_spare_is_worth_more_than_none() -> None:
    without, with_one = (
        goodput(scenario({"spares": spares}), days=30, seeds=3, iteration_s=1.0, sweep=False)
        for spares in (0, 1)
    )
    assert without.metrics()["waiting_share"].mean > 0.3
    assert with_one.metrics()["goodput"].mean > without.metrics()["goodput"].mean + 0.2


def test_what_is_saved_is_what_was_found(study: Goodput, tmp_path: Path) -> None:
    study.save(tmp_path / "kept")
    names = {path.name for path in (tmp_path / "kept").iterdir()}
    pictures = {f"{name}.{suffix}" for name in ("interval", "timeline") for suffix in ("png", "svg")}
    assert names == pictures | {"goodput.json", "summary.txt", "runs.csv", "intervals.csv", "timeline.csv"}
    runs = pd.read_csv(tmp_path / "kept" / "runs.csv")
    assert runs["seed"].tolist() == [3, 4, 5, 6, 7, 8]
    assert runs["goodput"].mean() == pytest.approx(study.metrics()["goodput"].mean)
    timeline = pd.read_csv(tmp_path / "kept" / "timeline.csv")
    assert timeline[list(USES)].to_numpy().sum() == pytest.approx(6 * 30 * 86400.0)
    points = pd.read_csv(tmp_path / "kept" / "intervals.csv")
    assert points["goodput"].max() == pytest.approx(study.best.goodput if study.best else 0.0)


def test_the_timeline_draws_all_time_that_was_not_useful(study: Goodput) -> None:
    (axes,) = study.plot.timeline(seed=4).axes
    drawn = sum(bar.get_height() * bar.get_width() for bar in axes.patches) / 30 / 100
    assert drawn == pytest.approx(1.0 - study.runs[1].goodput, rel=1e-6)
    with pytest.raises(InputError, match="there is no period of seed 99"):
        study.plot.timeline(seed=99)


def test_the_picture_of_intervals_shows_each_that_was_simulated(study: Goodput) -> None:
    (axes,) = study.plot.interval().axes
    assert list(axes.lines[0].get_xdata()) == [point.interval_s for point in study.points]
    short = goodput(scenario(), days=1, seeds=1, iteration_s=1.0, sweep=False)
    with pytest.raises(InputError, match="no sweep"):
        short.plot.interval()


def test_the_summary_fits_a_narrow_terminal(study: Goodput) -> None:
    text = study.summary(width=80)
    assert max(map(len, text.splitlines())) <= 80
    for words in ("useful training", "Young's optimum", "Daly's optimum", "best simulated", "tokens per day"):
        assert words in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workload": "pretrian"}, "no training job 'pretrian'. Did you mean 'pretrain'?"),
        ({"days": 0}, "more than 0 days"),
        ({"seeds": 0}, "at least one seed"),
    ],
)
def test_what_cannot_be_studied_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        goodput(scenario(), **options)


def test_of_several_jobs_one_has_to_be_named() -> None:
    data = scenario().model_dump(mode="json", exclude_unset=True)
    data["workloads"] = [{**data["workloads"][0], "gpus": 8, "name": name} for name in ("one", "two")]
    both = Scenario.from_dict(data)
    with pytest.raises(InputError, match="which training job: one, two"):
        goodput(both)
    assert goodput(both, workload="two", days=1, seeds=1, iteration_s=1.0, sweep=False).job.name == "two"


def test_a_problem_of_reliability_is_shown_in_its_place() -> None:
    with pytest.raises(InputError, match=r"^workloads\[0\]\.reliability\.failures\.like: unknown") as caught:
        goodput(scenario({"failures": {"like": "nobody"}}), iteration_s=1.0)
    assert caught.value.exit_code == 2
