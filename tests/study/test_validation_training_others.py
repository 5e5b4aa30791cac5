"""`validate training`: the table of other systems, what the report says of it, progress and early ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clustersim.study.validation.framework import Row
from clustersim.study.validation.training.prediction import Outcome, predict_row
from clustersim.study.validation.training.report import TrainingReport
from clustersim.study.validation.training.result import PARTS, TrainingResult
from clustersim.study.validation.training.validation import TRAINING, predict_rows
from clustersim.workloads.training.ledger import CATEGORIES

OTHERS = [row for row in TRAINING.shipped_rows() if row.get("held_out")]
NOT_MODELLED = {
    "O0109": "16 stages of 8 chunks",
    "O0110": "FP4 is not modelled",
    "O0160": "neither model nor hardware FLOPs",
    "O0170": "several slices",
    **dict.fromkeys(("O0171", "O0172", "O0173", "O0174", "O0175"), "does not give tensor"),
}
"""Rows of other systems that say too little, or are of what is not modelled."""


def fake(specs: Sequence[object], model: object, hardware: object) -> Outcome:
    """A simulator for which everything takes 20 s."""
    return Outcome(specs[0], 20.0, 60.0, 80.0, {"compute_s": 20.0})  # type: ignore[arg-type]


def outcomes() -> list[TrainingResult]:
    """What is understood of every row, without a simulation."""
    return [predict_row(row, simulator=fake) for row in OTHERS]


# ---- the table


def test_every_row_has_its_source_and_how_it_was_read() -> None:
    assert all(len(row["source"]) > 20 for row in OTHERS)
    assert set(Counter(row["how"] for row in OTHERS)) == {"seen", "memory"}
    assert len({row["row_id"] for row in OTHERS}) == len(OTHERS)


def test_other_systems_are_of_other_generations_makers_sizes_and_frameworks() -> None:
    gpus = {row["gpu"].split("-")[0].split(" ")[0] for row in OTHERS}
    assert {"A100", "H100", "H200", "H800", "GB200", "GB300", "B300", "MI250X", "TPU", "Gaudi"} <= gpus
    assert max(int(row["gpu_count"]) for row in OTHERS) == 16384
    assert len({row["framework"] for row in OTHERS}) > 20


def test_no_row_of_other_systems_is_one_of_the_first_table() -> None:
    def run(row: dict[str, str]) -> tuple[str, ...]:
        return tuple(
            row[name] for name in ("gpu", "gpu_count", "model", "seq_len", "global_batch", "tp", "pp")
        )

    first = {(*run(row), row["framework"]) for row in TRAINING.shipped_rows() if not row.get("held_out")}
    assert not [row["row_id"] for row in OTHERS if (*run(row), row["framework"]) in first]


def test_every_row_is_understood_but_those_that_say_too_little() -> None:
    found = outcomes()
    refused = {row.id: row.reason for row in found if row.reason and row.id not in ("O0109",)}
    assert refused.keys() == NOT_MODELLED.keys() - {"O0109"}
    assert all(reason in refused[name] for name, reason in NOT_MODELLED.items() if name in refused)
    assert all(row.measured is not None and row.held_out for row in found if not row.reason)


def test_stages_without_a_layer_are_refused() -> None:
    (row,) = (each for each in OTHERS if each["row_id"] == "O0109")
    assert NOT_MODELLED["O0109"] in predict_row(row).reason


# ---- the report


def test_other_systems_have_lines_of_their_own_and_are_no_part_of_the_goals() -> None:
    one = replace(outcomes()[0], measured=25.0)
    own = replace(one, id="own", table="Mine", held_out=False, measured=16.0)
    report = TrainingReport("Training", (own, one))
    lines = report.summary_lines()
    title = next(n for n, line in enumerate(lines) if line.startswith("other systems, held out"))
    assert [line.split(",")[0] for line in lines[:title] if "H100 " in line] == ["Mine", "dense"]
    assert any(line.startswith(one.table) for line in lines[title:])
    assert [row.id for rows in report.goal_rows().values() for row in rows] == ["own"]
    assert [entry["held_out"] for entry in report.records()] == [False, True]


def test_other_systems_are_drawn_by_gpu_and_hollow() -> None:
    (plotter,) = (TRAINING.plotter,)
    assert plotter is not None
    one = replace(outcomes()[0], measured=25.0)
    figure = plotter([one, replace(one, gpu="nvidia_a100-sxm4-80gb"), replace(one, held_out=False)])
    (axes,) = figure.axes
    looks = {
        mark.get_label(): len(mark.get_facecolor())
        for mark in axes.collections
        if "(" in str(mark.get_label())
    }
    assert looks == {"other systems: H100 (1)": 0, "other systems: A100 (1)": 0, f"{one.system} (1)": 1}


@pytest.mark.parametrize(
    ("gpu", "generation"),
    [("NVIDIA H100-SXM5-80GB", "H100"), ("A100 80G", "A100"), ("AMD Instinct MI250X", "MI250X"),
     ("nvidia_a100-sxm4-80gb", "A100"), ("TPU v5p", "TPU v5p"), ("Gaudi 2", "Gaudi 2"),
     ("GB200 NVL72", "GB200")],
)  # fmt: skip
def test_a_generation_is_the_gpu_without_maker_form_and_memory(gpu: str, generation: str) -> None:
    assert replace(outcomes()[0], gpu=gpu).generation == generation


def test_an_iteration_is_divided_as_the_ledger_of_the_engine_does() -> None:
    assert PARTS == CATEGORIES


# ---- progress


def rows_as_they_come(rows: Sequence[dict[str, str]]) -> Iterator[tuple[int, Row]]:
    """The last row is done first; then Ctrl-C."""
    yield len(rows) - 1, replace(outcomes()[0], id=rows[-1]["row_id"])
    yield 0, replace(outcomes()[0], id=rows[0]["row_id"])
    raise KeyboardInterrupt


def test_a_stopped_validation_reports_what_is_done_in_the_order_of_the_table() -> None:
    told: list[float] = []
    stopped = replace(TRAINING, predict=rows_as_they_come)
    report = stopped.run(progress=lambda fraction, seconds: told.append(fraction))
    rows = TRAINING.shipped_rows()
    assert [row.id for row in report.rows] == [rows[0]["row_id"], rows[-1]["row_id"]]
    assert report.left == len(rows) - 2
    assert report.text().splitlines()[-1] == f"stopped early: {len(rows) - 2} rows not reached"
    assert told == [1 / len(rows), 2 / len(rows)]


def test_a_validation_that_is_stopped_before_anything_is_done_has_no_report() -> None:
    def nothing(rows: Sequence[dict[str, str]]) -> Iterator[tuple[int, Row]]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        replace(TRAINING, predict=nothing).run()


def test_a_stopped_validation_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from clustersim.cli import main
    from clustersim.study import validation

    stopped = replace(TRAINING, predict=rows_as_they_come)
    monkeypatch.setattr(validation, "registry", lambda: {"training": stopped})
    assert main(["validate", "training", "--no-progress"]) == 130
    assert "rows not reached" in capsys.readouterr().err


def test_a_bar_stands_on_stderr_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from clustersim.cli import main
    from clustersim.study import validation

    def two(rows: Sequence[dict[str, str]]) -> Iterator[tuple[int, Row]]:
        return iter(enumerate([outcomes()[0]]))

    monkeypatch.setattr(validation, "registry", lambda: {"training": replace(TRAINING, predict=two)})
    assert main(["validate", "training", "--progress", "--csv"]) == 130
    told = capsys.readouterr()
    assert "validate training" in told.err
    assert told.out.startswith("id,table")


def test_tables_of_ones_own_are_predicted_without_the_shipped_ones() -> None:
    mine = [{**OTHERS[6], "row_id": "mine"}]
    ((position, found),) = predict_rows(mine, jobs=1)
    assert (position, found.id, found.gpus) == (0, "mine", int(OTHERS[6]["gpu_count"]))
    assert found.predicted is not None
