"""`clustersim radar`: what it asks for, prints, keeps and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Say = Callable[..., Any]
DECODE = Path(__file__).parents[2] / "scenarios" / "radar" / "llm-decode.yaml"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """A radar that runs nothing; what it was asked for."""
    calls: list[tuple[Any, dict[str, Any]]] = []

    def radar(scenarios: Any, **options: Any) -> SimpleNamespace:
        calls.append((scenarios, options))
        options["progress"](0.5, 1.0)
        return SimpleNamespace(
            to_json=lambda: '{"workloads": []}',
            to_csv=lambda: "workload,resource\n",
            summary=lambda width: "summary",
        )

    monkeypatch.setattr("clustersim.study.radar.radar", radar)
    return calls


def test_without_a_scenario_the_shipped_ones_are_asked_for(say: Say, asked: list[Any]) -> None:
    assert say("radar", "--set", "cluster.fabric.bandwidth=100Gbit/s").out == "summary\n"
    scenarios, options = asked[0]
    assert list(scenarios) == [
        "LLM training",
        "LLM prefill",
        "LLM decode",
        "ranking training",
        "ranking inference",
    ]
    assert {each.cluster.fabric.bandwidth for each in scenarios.values()} == {12.5e9}
    assert options["check"] is True
    assert options["what_if"] is True


def test_options_reach_the_study(say: Say, asked: list[Any]) -> None:
    said = say(
        "radar",
        DECODE,
        "--no-check",
        "--no-what-if",
        "--seed",
        "7",
        "--jobs",
        "1",
        "--workload",
        "llm-decode",
    )
    assert said.code == 0
    scenarios, options = asked[0]
    assert [each.name for each in scenarios] == ["llm-decode"]
    assert (options["check"], options["what_if"], options["seed"], options["jobs"]) == (False, False, 7, 1)
    assert options["workloads"] == ["llm-decode"]


@pytest.mark.parametrize(
    ("option", "printed"), [("--json", '{"workloads": []}\n'), ("--csv", "workload,resource\n")]
)
def test_other_forms_are_printed_alone(say: Say, asked: list[Any], option: str, printed: str) -> None:
    assert say("radar", DECODE, option).out == printed


def test_json_and_csv_at_once_are_refused(say: Say, asked: list[Any]) -> None:
    said = say("radar", DECODE, "--json", "--csv")
    assert said.code == 2
    assert "not allowed with" in said.err
    assert not asked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scenarios/radar/llm-decod.yaml",), "Did you mean 'scenarios/radar/llm-decode.yaml'?"),
        ((DECODE, "--no-chek"), "Did you mean '--no-check'?"),
        ((DECODE, "--workload", "llm-decod"), "Did you mean 'llm-decode'?"),
        ((DECODE, "--plot", "radar.txt"), "should end in .png"),
    ],
)
def test_what_is_wrong_is_one_sentence(say: Say, arguments: tuple[Any, ...], words: str) -> None:
    said = say("radar", *arguments)
    assert said.code == 2
    assert words in said.err
    assert "Traceback" not in said.err


def test_a_radar_is_kept_with_its_runs_and_its_pictures(say: Say, tmp_path: Path) -> None:
    out = tmp_path / "found"
    said = say("radar", DECODE, "--no-what-if", "--no-memory", "--jobs", "1", "--json", "--out", out)
    assert said.code == 0
    shares = json.loads(said.out)["workloads"][0]["elasticities"]
    assert max(shares, key=shares.get) == "memory_bandwidth"
    assert {path.name for path in out.iterdir()} >= {"radar.json", "radar.png", "elasticities.csv", "runs"}
    assert len(list((out / "runs").iterdir())) == 11
