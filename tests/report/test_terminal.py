"""The summary of a run as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import synthetic_result
from clustersim.report.tables import to_text
from clustersim.report.terminal import summary
from clustersim.results import Ending
from clustersim.workloads.base import Outcome

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("complete", {}),
        ("partial", {"ending": Ending.INTERRUPTED, "notes": ("interrupted at 1.2 s of simulated time",)}),
    ],
)
def test_the_summary_of_a_fixed_result_is_the_golden_text(name: str, changes: dict[str, object]) -> None:
    """After a wanted change: write the new text to tests/report/golden."""
    assert synthetic_result.result(**changes).summary() == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("width", [100, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, summary(synthetic_result.result(), width=width).splitlines())) <= width


def test_a_partial_result_says_so_in_its_second_line_with_the_reason() -> None:
    text = synthetic_result.result(ending=Ending.INTERRUPTED, notes=("interrupted at 1.2 s",)).summary()
    assert text.splitlines()[1].startswith("PARTIAL RESULT: interrupted at 1.2 s.")


def test_a_workload_that_did_not_finish_says_so() -> None:
    outcome = replace(synthetic_result.training(), complete=False)
    assert "Had not finished" in synthetic_result.result(outcomes={"pretrain": outcome}).summary()


def test_waits_of_less_than_a_hundredth_of_the_run_are_not_listed() -> None:
    fabric = synthetic_result.fabric()
    short = replace(fabric, sharing=replace(fabric.sharing, held_back_s=np.array([0.019, 0, 0, 0, 0])))
    text = synthetic_result.result(fabric=short).summary()
    assert "19.0 ms" not in text
    assert "its own protocol's rate" in text


def test_notes_of_a_workload_are_shown() -> None:
    outcome = replace(synthetic_result.training(), notes=("kernels are small [beside] their launch",))
    assert "Note: kernels are small [beside] their launch" in (
        synthetic_result.result(outcomes={"pretrain": outcome}).summary()
    )


@pytest.mark.parametrize("outcome", [synthetic_result.training(), synthetic_result.inference()])
def test_a_workload_with_nothing_to_show_says_what_is_missing(outcome: Outcome) -> None:
    empty = replace(outcome, metrics={}, attribution={}, tables={})
    text = synthetic_result.result(outcomes={outcome.name: empty}).summary()
    assert "was finished." in text


def test_a_kind_of_one_s_own_gets_a_plain_table() -> None:
    outcome = Outcome("noise", "background", {"sent_bytes": 5.0}, {}, {}, complete=True)
    assert "sent_bytes" in synthetic_result.result(outcomes={"noise": outcome}).summary()


@pytest.mark.parametrize("width", [80, 90, 100])
def test_no_line_is_wider_than_the_terminal_and_no_link_is_broken_over_lines(width: int) -> None:
    text = synthetic_result.result().summary(width=width)
    assert max(map(len, text.splitlines())) <= width
    assert all(
        any(name in line for line in text.splitlines())
        for name in (synthetic_result.UPLINK, synthetic_result.NVLINK)
    )


def test_a_summary_that_ends_a_notebook_cell_shows_its_lines() -> None:
    drawn = to_text("two\nlines")
    assert repr(drawn) == "two\nlines\n"
    assert drawn == "two\nlines\n"
    assert isinstance(drawn, str)
