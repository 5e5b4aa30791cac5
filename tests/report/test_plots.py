"""Pictures: what they draw, and that they leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import QuadMesh

import synthetic_result
from clustersim.errors import InputError
from clustersim.report.plots import ResultPlots
from clustersim.report.plots.kv_occupancy import binned_mean
from clustersim.report.style import RESOURCE_COLORS, Picture
from clustersim.results.flow_rates import OWN_RATE, FlowRates

Draw = Callable[[ResultPlots], Picture]
DRAWINGS: dict[str, Draw] = {
    "iteration_breakdown": lambda plot: plot.iteration_breakdown("pretrain"),
    "pipeline": lambda plot: plot.pipeline("pretrain"),
    "memory": lambda plot: plot.memory("pretrain"),
    "latency_cdf": lambda plot: plot.latency_cdf("chat"),
    "latency_timeline": lambda plot: plot.latency_timeline("chat"),
    "kv_occupancy": lambda plot: plot.kv_occupancy("chat"),
    "link_utilization": lambda plot: plot.link_utilization(),
    "fabric": lambda plot: plot.fabric(),
    "flow_rates": lambda plot: plot.flow_rates("pretrain"),
    "gantt": lambda plot: plot.gantt("pretrain", iteration=1),
    "gantt of a request": lambda plot: plot.gantt("chat", request=2),
    "attribution": lambda plot: plot.attribution(),
}


@pytest.fixture
def plot() -> ResultPlots:
    return synthetic_result.result(flows=synthetic_result.rates()).plot


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_the_same_result_gives_the_same_picture(draw: Draw, plot: ResultPlots, tmp_path: Path) -> None:
    draw(plot).save(tmp_path / "one.svg")
    draw(plot).save(tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_every_picture_has_a_title_and_named_axes(draw: Draw, plot: ResultPlots) -> None:
    axes = draw(plot).axes
    assert axes[0].get_title(loc="left")
    assert any(each.get_xlabel() for each in axes)


def test_pictures_leave_pyplot_and_its_settings_alone(plot: ResultPlots) -> None:
    before = dict(matplotlib.rcParams)
    for draw in DRAWINGS.values():
        draw(plot)
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_a_picture_shows_itself_in_a_notebook(plot: ResultPlots) -> None:
    assert plot.attribution()._repr_png_().startswith(b"\x89PNG")


def test_stacked_bars_add_up_to_the_duration_of_each_iteration(plot: ResultPlots) -> None:
    (axes,) = plot.iteration_breakdown("pretrain").axes
    tops = {round(bar.get_x() + bar.get_width() / 2): 0.0 for bar in axes.patches}
    for bar in axes.patches:
        tops[round(bar.get_x() + bar.get_width() / 2)] += bar.get_height()
    assert tops == pytest.approx({0: 500.0, 1: 500.0, 2: 500.0, 3: 500.0})


def test_the_pipeline_has_a_row_per_stage_and_a_bar_per_pass(plot: ResultPlots) -> None:
    (axes,) = plot.pipeline("pretrain").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1"]
    table = synthetic_result.passes()
    spans = sorted(
        (box.y0 + 0.4, box.x0, box.x1)
        for bars in axes.collections
        for box in (path.get_extents() for path in bars.get_paths())
    )
    milliseconds = [1e3 * table[name] for name in ("start_s", "end_s")]
    expected = sorted(zip(table["stage"].tolist(), *map(np.ndarray.tolist, milliseconds), strict=True))
    np.testing.assert_allclose(spans, expected, atol=1e-9)


def test_bars_of_memory_end_at_the_bytes_of_their_stage(plot: ResultPlots) -> None:
    (axes,) = plot.memory("pretrain").axes
    tops = [
        max(bar.get_y() + bar.get_height() for bar in bars) for bars in zip(*axes.containers, strict=True)
    ]
    assert tops == pytest.approx([20.0, 16.0])


def test_many_iterations_are_drawn_as_means_of_groups() -> None:
    outcome = synthetic_result.training()
    table = {name: np.tile(values, 100) for name, values in outcome.tables["iterations"].items()}
    made = synthetic_result.result(outcomes={"pretrain": replace(outcome, tables={"iterations": table})})
    (axes,) = made.plot.iteration_breakdown("pretrain").axes
    assert "means of 5" in axes.get_xlabel()


def test_attribution_bars_use_the_colour_of_each_resource_and_end_at_100(plot: ResultPlots) -> None:
    (axes,) = plot.attribution().axes
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert max(ends) == pytest.approx(100.0)
    known = {matplotlib.colors.to_rgba(color) for color in RESOURCE_COLORS.values()}
    assert {bar.get_facecolor() for bar in axes.patches} <= known


def test_the_heat_map_has_a_row_per_link_with_the_busiest_on_top(plot: ResultPlots) -> None:
    axes, _ = plot.link_utilization().axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [synthetic_result.UPLINK, synthetic_result.DOWNLINK, synthetic_result.NVLINK]
    assert axes.yaxis_inverted()
    (mesh,) = (item for item in axes.collections if isinstance(item, QuadMesh))
    np.testing.assert_allclose(mesh.get_array(), 100 * synthetic_result.fabric().utilization)


def test_colours_of_the_heat_map_end_where_the_busiest_link_does(plot: ResultPlots) -> None:
    _, bar = plot.link_utilization().axes
    assert 100 * synthetic_result.fabric().utilization.max() <= bar.get_ylim()[1] <= 100


def test_the_line_of_rates_falls_to_zero_in_a_pause_and_is_shaded_by_what_held_it_back(
    plot: ResultPlots,
) -> None:
    (axes,) = plot.flow_rates("pretrain").axes
    (line,) = axes.lines
    times, rates = (np.asarray(values) for values in line.get_data())
    assert dict(zip(times.tolist(), rates.tolist(), strict=True)) == {
        0.25: 1.0,
        0.5: 0.5,
        1.0: 0.0,
        1.5: 1.0,
        2.0: 0.0,
    }
    bars = {(bar.get_x(), bar.get_width(), bar.get_height()) for bar in axes.patches}
    assert bars == {(0.25, 0.25, 1.0), (0.5, 0.5, 0.5), (1.5, 0.5, 1.0)}
    assert len({bar.get_facecolor() for bar in axes.patches}) == 2


def test_many_spans_are_drawn_as_means_that_keep_the_bytes() -> None:
    (series,) = synthetic_result.rates().series
    times = np.linspace(0.0, 2.0, 5001)
    random = np.random.default_rng(5)
    many = replace(
        series,
        start_s=times[:-1],
        end_s=times[1:],
        rate_bytes_per_s=random.uniform(1e8, 1e9, 5000),
        held_by=np.where(random.uniform(size=5000) < 0.5, OWN_RATE, synthetic_result.UPLINK).astype(object),
    )
    made = synthetic_result.result(flows=FlowRates((many,), kept=True), simulated_s=2.0)
    (axes,) = made.plot.flow_rates("pretrain").axes
    drawn = sum(bar.get_width() * bar.get_height() * 1e9 for bar in axes.patches)
    assert drawn == pytest.approx(many.moved_bytes, rel=1e-9)
    assert len(axes.patches) <= 1200


def test_the_gantt_draws_every_activity_of_the_iteration_on_its_lane(plot: ResultPlots) -> None:
    (axes,) = plot.gantt("pretrain", iteration=1).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["compute", "comm"]
    assert len(axes.patches) == 4


def test_of_many_lanes_the_gantt_draws_those_of_the_critical_path() -> None:
    """60 sends beside the iteration; the compute and communication lanes that it waits for stay."""
    rows = synthetic_result.trace()
    cause = next(row for row, activity in enumerate(rows) if activity.start_s == 0.5)
    beside = [
        rows[cause]._replace(lane=f"pretrain/stage{number}/sends", label="send", cause=-1)
        for number in range(60)
    ]
    (axes,) = synthetic_result.result(trace=[*rows, *beside]).plot.gantt("pretrain", iteration=1).axes
    lanes = [label.get_text() for label in axes.get_yticklabels()]
    assert len(lanes) == 20
    assert {"compute", "comm"} <= set(lanes)
    assert "(20 of 62 lanes)" in axes.get_title(loc="left")


def test_the_mean_of_a_bin_is_weighted_by_time() -> None:
    start, end = np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0, 4.0])
    values = np.array([1.0, 3.0, 5.0])
    means = binned_mean(start, end, values, np.array([0.0, 1.5, 2.5, 4.0]))
    assert means.tolist() == pytest.approx([(1.0 + 1.5) / 1.5, 3.0, 5.0])
    assert binned_mean(start, end, values, np.array([2.0, 3.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda plot: plot.latency_cdf("pretrain"), "'pretrain' has no finished requests to draw"),
        (lambda plot: plot.iteration_breakdown("chat"), "'chat' has no finished iterations to draw"),
        (lambda plot: plot.kv_occupancy("pretrain"), "'pretrain' has no engine steps to draw"),
        (lambda plot: plot.gantt("chat"), "'chat' has no iterations; give the number of a request"),
        (lambda plot: plot.pipeline("chat"), "'chat' has no passes to draw"),
        (lambda plot: plot.pipeline("pretrain", replica=3), "has no replica 3; simulated were 0"),
        (lambda plot: plot.memory("chat"), "'chat' has no table of memory to draw"),
        (lambda plot: plot.gantt("cat"), "Did you mean 'chat'"),
        (lambda plot: plot.flow_rates("chat"), "'chat' moved no bytes"),
        (lambda plot: plot.flow_rates("pretrain", start_s=1.1, end_s=1.4), "between 1.1 s and 1.4 s"),
        (lambda plot: plot.flow_rates("pretrain", start_s=2, end_s=1), "give a start before the end"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(draw: Draw, message: str, plot: ResultPlots) -> None:
    with pytest.raises(InputError, match=message):
        draw(plot)
