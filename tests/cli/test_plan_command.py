"""`clustersim plan`: what it asks for and what it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Say = Callable[..., Any]
JOB = ("--gpus", "8", "--global-batch", "16")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """A search that finds nothing; what it was asked for."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def plan(*args: Any, **options: Any) -> SimpleNamespace:
        calls.append((args, options))
        options["progress"](0.5, 1.0)
        return SimpleNamespace(to_json=lambda: '{"ranking": []}', summary=lambda width: "ranking")

    monkeypatch.setattr("clustersim.study.plan.plan", plan)
    return calls


def test_plan_passes_on_what_it_was_told(say: Say, asked: list[Any], tmp_path: Path) -> None:
    said = say(
        "plan", "gpt2", "x.yaml", *JOB, "--sequence", 512, "--set", "workloads.plan.overlap.tensor=true",
        "--max-tensor", 4, "--top", 3, "--jobs", 1, "--out", tmp_path, "--resume",
    )  # fmt: skip
    (names, options), = asked  # fmt: skip
    assert said.out == "ranking\n"
    assert said.err == f"kept in {tmp_path}; its best layout as a scenario in best.yaml\n"
    assert names == ("gpt2", "x.yaml")
    assert options["changes"] == {"workloads.plan.overlap.tensor": True}
    assert (options["gpus"], options["global_batch"], options["sequence"]) == (8, 16, 512)
    assert (options["max_tensor"], options["max_pipeline"], options["top"]) == (4, 64, 3)
    assert (options["out"], options["resume"], options["jobs"]) == (tmp_path, True, 1)


def test_plan_prints_only_json_where_asked_to(say: Say, asked: list[Any]) -> None:
    assert json.loads(say("plan", "gpt2", "x.yaml", *JOB, "--json").out) == {"ranking": []}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--gpus", "8"), "the following arguments are required: --global-batch"),
        ((*JOB, "--top", "0"), "argument --top: '0' is not a whole number from 1"),
        ((*JOB, "--within", "0.9"), "argument --within: '0.9' is not a number from 1"),
        ((*JOB, "--within", "nan"), "argument --within: 'nan' is not a number from 1"),
        ((*JOB, "--sequenc", "8"), "unknown option '--sequenc'. Did you mean '--sequence'?"),
    ],
)
def test_plan_refuses_what_it_cannot_read(
    say: Say, asked: list[Any], options: tuple[str, ...], error: str
) -> None:
    said = say("plan", "gpt2", "x.yaml", *options)
    assert said.code == 2
    assert error in said.err
    assert not asked


def test_unknown_models_clusters_and_precisions_are_one_sentence(say: Say) -> None:
    star = "topologies/star-dgx-a100-2.yaml"
    assert "Did you mean 'gpt2-medium'?" in say("plan", "gpt2-medum", star, *JOB).err
    assert say("plan", "gpt2-medium", "nowhere.yaml", *JOB).code == 2
    said = say("plan", "gpt2-medium", star, *JOB, "--precision", "bf61")
    assert said.code == 2
    assert "bf61" in said.err
    assert "Traceback" not in said.err


def test_what_cannot_run_has_its_own_exit_code(say: Say) -> None:
    said = say("plan", "gpt2-medium", "topologies/star-dgx-a100-2.yaml", "--gpus", 99, "--global-batch", 99)
    assert (said.code, said.err) == (3, "99 GPUs are asked for, the cluster has 16\n")
