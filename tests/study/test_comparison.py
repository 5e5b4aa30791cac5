"""What changed between variants."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.study.comparison import Comparison, Run
from clustersim.study.records import RunRecord

KINDS = {"chat": "inference"}


def made(
    before: list[float], after: list[float], *, metric: str = "ttft_s.p99", **more: object
) -> Comparison:
    """A comparison of one metric of one service over as many seeds as there are values."""
    runs = [
        Run(name, seed, RunRecord(f"{name}{seed}", seed, KINDS, {"chat": {metric: value}}))
        for name, values in (("old", before), ("new", after))
        for seed, value in enumerate(values)
    ]
    seeds = tuple(range(len(before)))
    return Comparison(("old", "new"), seeds, tuple(runs), **more)  # type: ignore[arg-type]


def test_identical_variants_differ_by_exactly_nothing() -> None:
    values = [0.1, 0.2, 0.3]
    change = made(values, values).changes[0]
    assert (change.change, change.low, change.high, change.verdict) == (0.0, 0.0, 0.0, "no difference")


def test_the_interval_is_that_of_the_paired_differences() -> None:
    # Differences 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.302653, so 2 ± 2.484138.
    change = made([10.0, 20.0, 30.0], [11.0, 22.0, 33.0]).changes[0]
    assert change.change == pytest.approx(2.0)
    assert (change.low, change.high) == (
        pytest.approx(-0.484138, abs=1e-6),
        pytest.approx(4.484138, abs=1e-6),
    )
    assert change.relative == pytest.approx(0.1)
    assert (change.relative_low, change.relative_high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert change.verdict == "worse"


def test_the_relative_interval_is_that_of_the_log_ratios_and_stays_above_minus_100_percent() -> None:
    # ln(1/2), ln(1/20): mean -1.844440, s = 1.628176, t(0.975, 1) = 12.706205, so ± 14.628583.
    change = made([2.0, 20.0], [1.0, 1.0]).changes[0]
    assert change.relative == pytest.approx(40**-0.5 - 1)
    assert change.relative_low == pytest.approx(np.expm1(-1.844440 - 14.628583), rel=1e-6)
    assert change.relative_low > -1


def test_a_metric_that_is_zero_in_some_run_is_judged_by_its_absolute_interval() -> None:
    change = made([0.0, 0.1, 0.0], [1.0, 1.1, 1.0], metric="slo_attainment").changes[0]
    assert (change.relative, change.verdict) == (None, "better")


def test_pairing_over_seeds_finds_what_the_spread_between_seeds_would_hide() -> None:
    random = np.random.default_rng(3)
    before = random.normal(10.0, 5.0, 8)
    change = made(before.tolist(), (before - 0.5 + random.normal(0.0, 0.1, 8)).tolist()).changes[0]
    assert change.verdict == "better"
    assert change.high is not None
    assert change.high < 0


@pytest.mark.parametrize(
    ("metric", "after", "verdict"),
    [
        ("ttft_s.p99", [0.5, 1.0], "better"),
        ("ttft_s.p99", [1.5, 3.0], "worse"),
        ("requests_per_s", [1.5, 3.0], "better"),
        ("requests_per_s", [0.5, 1.0], "worse"),
        ("kv_occupancy.mean", [0.5, 1.0], "changed"),
    ],
)
def test_better_and_worse_follow_the_direction_of_the_metric(
    metric: str, after: list[float], verdict: str
) -> None:
    assert made([1.0, 2.0], after, metric=metric).changes[0].verdict == verdict


def test_rounding_is_no_difference() -> None:
    before = [0.1, 0.2, 0.3]
    assert made(before, [value * (1 + 1e-13) for value in before]).changes[0].verdict == "no difference"


def test_one_seed_gives_a_change_without_interval() -> None:
    change = made([2.0], [1.0]).changes[0]
    assert (change.change, change.relative, change.low, change.verdict) == (-1.0, -0.5, None, "one seed")


def test_a_change_from_zero_has_no_percentage() -> None:
    change = made([0.0, 0.0], [1.0, 2.0]).changes[0]
    assert change.relative is None
    assert "nan" not in made([0.0, 0.0], [1.0, 2.0]).summary()


def test_a_failed_run_is_listed_and_its_seed_left_out_of_the_pairs() -> None:
    whole = made([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    runs = [run for run in whole.runs if (run.variant, run.seed) != ("new", 1)]
    failed = Run("new", 1, RunRecord("x", 1, error="out of memory"))
    comparison = Comparison(whole.variants, whole.seeds, (*runs, failed))
    assert comparison.changes[0].seeds == 2
    assert comparison.failures == (failed,)
    assert "FAILED: new, seed 1: out of memory" in comparison.summary()


def test_a_metric_that_one_variant_lacks_is_not_compared() -> None:
    runs = (
        Run("old", 0, RunRecord("a", 0, KINDS, {"chat": {"ttft_s.p99": 1.0, "slo_attainment": 1.0}})),
        Run("new", 0, RunRecord("b", 0, KINDS, {"chat": {"ttft_s.p99": 1.0}})),
    )
    assert [change.metric for change in Comparison(("old", "new"), (0,), runs).changes] == ["ttft_s.p99"]


def test_unknown_metrics_are_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"a metric 'ttft_s.p98'. Did you mean 'ttft_s.p99'\?"):
        made([1.0], [2.0], metrics=("ttft_s.p98",))


def test_the_frame_has_one_row_per_workload_metric_and_variant() -> None:
    frame = made([1.0, 2.0], [2.0, 3.0]).to_frame()
    assert frame[["workload", "metric", "unit", "variant"]].to_numpy().tolist() == [
        ["chat", "ttft_s.p99", "s", "new"]
    ]
    assert frame["before"].tolist() == [1.5]


def test_what_is_saved_reads_back(tmp_path: Path) -> None:
    comparison = made([1.0, 2.0], [2.0, 4.0])
    comparison.save(tmp_path)
    loaded = json.loads((tmp_path / "comparison.json").read_text())
    assert loaded == comparison.document()
    assert loaded["changes"][0]["change"] == 1.5
    assert {path.name for path in tmp_path.iterdir()} == {
        "comparison.json",
        "summary.txt",
        "changes.csv",
        "runs.csv",
        "change.png",
        "change.svg",
    }


def test_the_summary_fits_the_terminal_and_shows_before_after_and_interval() -> None:
    text = made([0.1, 0.2, 0.3], [0.05, 0.1, 0.16]).summary()
    assert all(len(line) <= 100 for line in text.splitlines())
    row = next(line for line in text.splitlines() if "ttft_s.p99" in line)
    assert " ".join(row.split()) == "ttft_s.p99 200 ms 103 ms -49 % -53 % … -44 % better"


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_is_no_wider_than_the_terminal_and_keeps_its_verdicts(width: int) -> None:
    comparison = made([10.0, 12.0, 11.0], [5.0, 6.1, 5.4])
    text = comparison.summary(width=width)
    assert max(map(len, text.splitlines())) <= width
    assert any(change.verdict in text for change in comparison.headline())
    assert ("95 % interval" in text.splitlines()[1]) == (width == 100)
