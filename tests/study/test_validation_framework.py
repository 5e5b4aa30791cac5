"""Predicted beside measured: the text and the picture that all validations share."""

from __future__ import annotations

from clustersim.study.validation.framework import Row, ValidationReport, plot_against_measured

GROUPS = [f"a system with a long name, number {n}" for n in range(14)]
ROWS = tuple(
    Row(f"row{n}", group, "samples/s", 10.0 * (n + 1), 11.0 * (n + 1)) for n, group in enumerate(GROUPS)
)
NOT_MODELLED = Row("last", GROUPS[0], "samples/s", 5.0, None, reason="no throughput")


def test_every_row_stands_under_its_group_with_its_error_or_the_reason() -> None:
    lines = ValidationReport("All of it", (*ROWS, NOT_MODELLED)).text().splitlines()
    first = lines.index(f"{GROUPS[0]} (samples/s)")
    assert lines[first + 1].split() == ["row0", "measured", "10", "predicted", "11", "+10.0%"]
    assert lines[first + 2].split(maxsplit=1) == ["last", "not modelled: no throughput"]
    assert lines[-1] == "1 row not modelled"


def test_the_legend_stands_beside_the_axes_and_no_two_groups_look_alike() -> None:
    figure = plot_against_measured(ROWS)
    figure.draw_without_rendering()
    (legend,), (axes,) = figure.legends, figure.axes
    assert [text.get_text() for text in legend.get_texts()] == GROUPS
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    marks = [item for item in axes.collections if item.get_label() in GROUPS]
    looks = {(tuple(mark.get_facecolor()[0]), len(mark.get_paths()[0].vertices)) for mark in marks}
    assert len(looks) == len(GROUPS)
