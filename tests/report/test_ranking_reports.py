"""What a user sees of ranking jobs and services: the summary, pictures, cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthetic_ranking
from clustersim.errors import InputError
from clustersim.report.plots import ResultPlots
from clustersim.report.plots.latency_cdf import _drawn
from clustersim.report.query_time import band, counted_queries, mean_of, parts_by_resource, parts_by_stage
from clustersim.report.style import RESOURCE_COLORS, Picture

GOLDEN = Path(__file__).parent / "golden"
Draw = Callable[[ResultPlots], Picture]
DRAWINGS: dict[str, Draw] = {
    "iteration_breakdown": lambda plot: plot.iteration_breakdown("dlrm"),
    "ranks": lambda plot: plot.ranks("dlrm"),
    "memory": lambda plot: plot.memory("dlrm"),
    "latency_cdf": lambda plot: plot.latency_cdf("feed"),
    "latency_timeline": lambda plot: plot.latency_timeline("feed"),
    "query_time": lambda plot: plot.query_time("feed"),
    "stages": lambda plot: plot.query_time("feed", by="stage"),
    "batches": lambda plot: plot.batches("feed"),
}


@pytest.fixture
def plot() -> ResultPlots:
    return synthetic_ranking.result(synthetic_ranking.job(), synthetic_ranking.cascade()).plot


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("ranking", ()),
        ("ranking-cascade", (synthetic_ranking.cascade(),)),
    ],
)
def test_the_summary_of_a_fixed_ranking_result_is_the_golden_text(name, outcomes) -> None:
    """After a wanted change: write the new text to tests/report/golden."""
    assert synthetic_ranking.result(*outcomes).summary() == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("width", [80, 90, 100])
def test_no_line_of_a_ranking_summary_is_wider_than_the_terminal_or_cut(width: int) -> None:
    text = synthetic_ranking.result(synthetic_ranking.job(), synthetic_ranking.cascade()).summary(width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("outcome", [synthetic_ranking.job(), synthetic_ranking.service()])
def test_a_ranking_workload_with_nothing_to_show_says_so(outcome) -> None:
    empty = replace(outcome, metrics={}, attribution={}, tables={})
    text = synthetic_ranking.result(empty).summary()
    assert ("No iteration was finished." in text) or ("No query was answered." in text)


def test_a_job_on_one_gpu_has_no_table_of_ranks() -> None:
    job = synthetic_ranking.job()
    one = {name: values[:1] for name, values in job.tables["ranks"].items()}
    text = synthetic_ranking.result(replace(job, tables={**job.tables, "ranks": one})).summary()
    assert "a rank has" not in text
    assert "a rank has" in synthetic_ranking.result(job).summary()


def test_pushes_are_reported_with_the_latency_that_they_cost() -> None:
    metrics = {"pushes": 2.0, "push_bytes": 2.0**30, "push_s": 0.5, "push_replica_s": 0.25}
    metrics |= {"push_latency_s.during.p99": 4e-3, "push_latency_s.between.p99": 1e-3}
    service = synthetic_ranking.service()
    text = synthetic_ranking.result(replace(service, metrics={**service.metrics, **metrics})).summary()
    assert "2 pushes of new weights, 1.00 GiB in 500 ms (250 ms for a replica)" in text
    during, between = (
        next(line for line in text.splitlines() if words in line) for words in ("during", "betw")
    )
    assert during.split()[-2:] == ["4.00", "ms"]
    assert between.split()[-2:] == ["1.00", "ms"]


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_every_ranking_picture_has_a_title_and_named_axes(draw: Draw, plot: ResultPlots) -> None:
    axes = draw(plot).axes
    assert axes[0].get_title(loc="left")
    assert all(each.get_ylabel() for each in axes)


def test_a_result_draws_everything_that_it_has_tables_for(plot: ResultPlots) -> None:
    drawn = {name for name, _ in plot.all()}
    assert {"dlrm.iteration_breakdown", "dlrm.ranks", "dlrm.memory"} <= drawn
    assert {"feed.latency_cdf", "feed.latency_timeline", "feed.query_time", "feed.stages"} <= drawn
    assert {"feed.batches.rank", "feed.batches.variant"} <= drawn
    alone = {name for name, _ in synthetic_ranking.result(synthetic_ranking.service()).plot.all()}
    assert "feed.batches" in alone
    assert "feed.stages" not in alone


def test_bars_of_ranks_end_at_the_step_and_the_slowest_tables_are_marked(plot: ResultPlots) -> None:
    lookups, times = plot.ranks("dlrm").axes
    tops = np.zeros(4)
    for bar in times.patches:
        place = round(bar.get_x() + bar.get_width() / 2)
        tops[place] += bar.get_height()
    np.testing.assert_allclose(tops, 10.0)
    marker = next(line for line in lookups.lines if line.get_marker() == "v")
    assert marker.get_xdata()[0] == 1
    assert "3.50 ms on rank 1, 1.17 times the mean of 4 ranks" in lookups.get_title(loc="left")


def test_bars_of_query_time_end_at_the_mean_latency_of_their_band(plot: ResultPlots) -> None:
    axes = plot.query_time("feed").axes[0]
    tops = np.zeros(5)
    for bar in axes.patches:
        tops[round(bar.get_x() + bar.get_width() / 2)] += bar.get_height()
    every, fastest, middle, _, slowest = tops
    latency_s = synthetic_ranking.service().tables["queries"]["latency_s"][20:]
    assert every == pytest.approx(1e3 * latency_s.mean())
    assert fastest == pytest.approx(1.0)
    assert middle == pytest.approx(1.0)
    assert slowest == pytest.approx(10.0)
    assert {bar.get_facecolor() for bar in axes.patches} <= {
        _rgba(color) for color in RESOURCE_COLORS.values()
    }


def test_stages_are_stacked_in_the_order_in_which_queries_go_through_them(plot: ResultPlots) -> None:
    axes = plot.query_time("feed", by="stage").axes[0]
    labels = [text.get_text().partition(",")[0] for text in axes.get_legend().get_texts()]
    assert labels[::-1][0] == "early"
    bottoms = [min(bar.get_y() for bar in bars) for bars in axes.containers]
    assert bottoms == sorted(bottoms)
    assert bottoms[0] == 0.0


def _rgba(color: str) -> tuple[float, float, float, float]:
    red, green, blue = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue, 1.0


def test_the_curve_of_waits_begins_at_the_share_that_did_not_wait(plot: ResultPlots) -> None:
    axes = plot.latency_cdf("feed").axes[0]
    whole, waits = (line for line in axes.lines if len(line.get_xdata()) > 2)
    if len(whole.get_xdata()) < len(waits.get_xdata()):
        whole, waits = waits, whole
    assert whole.get_ydata()[0] == pytest.approx(0.0)
    assert waits.get_ydata()[0] == pytest.approx(95.0)
    assert waits.get_xdata().min() == pytest.approx(9e-3)


def test_the_objective_of_the_service_is_marked(plot: ResultPlots) -> None:
    axes = plot.latency_cdf("feed").axes[0]
    assert "objective 5.00 ms" in [text.get_text() for text in axes.texts]


def test_pushes_are_shaded_in_the_timeline_from_their_begin_to_their_end() -> None:
    pushes = {
        "push": np.array([0, 0, 1]),
        "start_s": np.array([0.1, 0.2, 1.0]),
        "end_s": np.array([0.2, 0.3, 1.1]),
    }
    service = synthetic_ranking.service()
    changed = replace(service, tables={**service.tables, "pushes": pushes})
    axes = synthetic_ranking.result(changed).plot.latency_timeline("feed").axes[0]
    spans = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches)
    np.testing.assert_allclose(spans, [(0.1, 0.3), (1.0, 1.1)])


def test_percentiles_of_waits_in_the_timeline_count_those_that_did_not_wait() -> None:
    service = synthetic_ranking.service(queries=2000)
    _, waits = synthetic_ranking.result(service).plot.latency_timeline("feed").axes
    labels = [text.get_text() for text in waits.get_legend().get_texts()]
    assert [label.partition(" ")[0] for label in labels] == [
        "p99"
    ]  # one in twenty waits: the median does not


def test_shares_of_batch_sizes_sum_to_all_and_one_pool_is_drawn_alone(plot: ResultPlots) -> None:
    for pool, batches in ((None, 200), ("variant", 50)):
        sizes = plot.batches("feed", pool=pool).axes[0]
        assert sum(bar.get_height() for bar in sizes.patches) == pytest.approx(100.0)
        assert f"{batches} batches" in sizes.get_title(loc="left")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda plot: plot.ranks("feed"), "'feed' has no ranks of a ranking job to draw"),
        (lambda plot: plot.batches("dlrm"), "'dlrm' has no batches to draw"),
        (lambda plot: plot.batches("feed", pool="varant"), "no pool 'varant'. Did you mean 'variant'"),
        (lambda plot: plot.query_time("dlrm"), "'dlrm' has no answered queries to draw"),
        (lambda plot: plot.query_time("feed", by="stages"), "Did you mean 'stage'"),
        (lambda plot: plot.gantt("feed"), "no activities are kept of the queries of 'feed'"),
        (lambda plot: plot.latency_cdf("dlrm"), "'dlrm' has no finished requests to draw"),
    ],
)
def test_what_a_ranking_result_has_not_is_refused(draw: Draw, message: str, plot: ResultPlots) -> None:
    with pytest.raises(InputError, match=message):
        draw(plot)


def test_a_service_with_one_pool_has_no_stages_to_draw() -> None:
    plot = synthetic_ranking.result(synthetic_ranking.service()).plot
    with pytest.raises(InputError, match="go to one pool only"):
        plot.query_time("feed", by="stage")


def test_parts_of_queries_by_resource_and_by_stage_add_up_to_their_latency() -> None:
    tables = synthetic_ranking.cascade().tables
    queries = counted_queries(tables["queries"])
    for parts in (parts_by_resource(queries), parts_by_stage(queries, tables["visits"])):
        np.testing.assert_allclose(np.sum(list(parts.values()), axis=0), queries["latency_s"])
        assert sum(mean_of(parts).values()) == pytest.approx(queries["latency_s"].mean())


@given(st.lists(st.floats(0.001, 10.0), min_size=1, max_size=300), st.floats(0.0, 1.0))
def test_two_bands_that_meet_hold_every_query_once(latencies: list[float], edge: float) -> None:
    latency_s = np.array(latencies)
    cut = round(edge * len(latency_s)) / len(latency_s)
    low, high = band(latency_s, 0.0, cut), band(latency_s, cut, 1.0)
    if 0 < low.sum() < len(latency_s) and 0.0 < cut < 1.0:
        assert latency_s[low].max() <= latency_s[high].min()
    assert (low | high).all()
    assert high.any()


@given(st.integers(1, 2_000_000))
def test_a_thinned_curve_keeps_both_ends_and_few_points(count: int) -> None:
    drawn = _drawn(count)
    assert drawn[0] == 0
    assert drawn[-1] == count - 1
    assert len(drawn) <= min(count, 4001)
    assert (np.diff(drawn) > 0).all()


def test_the_card_of_a_ranking_result_has_its_headlines_only() -> None:
    card = synthetic_ranking.result()._repr_html_()
    assert "latency_s.p99" in card
    assert "embedding_imbalance" in card
    assert "batch_queries" not in card
