"""`clustersim goodput`: what it prints and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Say = Callable[..., Any]
SMALL = "scenarios/failures-on-64-gpus.yaml"
QUICK = ("--days", "2", "--seeds", "2", "--iteration-time", "500ms", "--no-sweep")


def test_it_prints_what_the_time_went_to(say: Say) -> None:
    said = say("goodput", SMALL, *QUICK)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("failures-on-64-gpus: pretrain   2 days, 2 seeds")
    assert "useful training" in said.out


def test_it_prints_json_alone(say: Say) -> None:
    said = say("goodput", SMALL, *QUICK, "--json", "--progress")
    found = json.loads(said.out)
    assert (found["days"], found["seeds"], found["job"]["iteration_s"]) == (2.0, [1, 2], 0.5)


def test_a_setting_changes_what_is_studied(say: Say) -> None:
    path = "workloads.pretrain.reliability.failures.like"
    said = say("goodput", SMALL, *QUICK, "--json", "--set", f"{path}=ideal")
    assert json.loads(said.out)["metrics"]["goodput"]["mean"] == 1.0


def test_it_keeps_tables_and_says_where(say: Say, tmp_path: Path) -> None:
    said = say("goodput", SMALL, *QUICK, "--out", tmp_path / "kept")
    assert said.err == f"kept in {tmp_path / 'kept'}\n"
    assert (tmp_path / "kept" / "runs.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--days", "none"), "'none' is not a number of days"),
        (("--days", "-1"), "'-1' is not a number of days"),
        (("--iteration-time", "5"), "5 has no unit"),
        (("--iteration-time", "0 s"), "'0 s' is no time that an iteration can take"),
        (("--workload", "chat"), "the scenario has no training job 'chat'"),
    ],
)
def test_it_refuses_what_cannot_be_meant(say: Say, options: tuple[str, ...], message: str) -> None:
    said = say("goodput", SMALL, *options)
    assert said.code == 2
    assert message in said.err
