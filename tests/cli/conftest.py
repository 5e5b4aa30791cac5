"""A command line to call in this process, and stand-ins for what it calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clustersim.cli import main
from clustersim.results import Ending
from clustersim.spec.scenario import Scenario

CASES = Path(__file__).parents[1] / "cases"


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class StandInResult:
    """What the command line needs of a result."""

    def __init__(
        self, scenario: Scenario, *, ending: Ending = Ending.COMPLETE, notes: tuple[str, ...] = ()
    ) -> None:
        self.scenario = scenario
        self.ending = ending
        self.complete = ending is Ending.COMPLETE
        self.notes = notes
        self.saved: list[tuple[Path, tuple[str, ...]]] = []

    def summary(self, *, width: int) -> str:
        return f"summary of {self.scenario.name}"

    def to_json(self) -> str:
        return '{"seed": 1}'

    def save(self, directory: Path, *, formats: tuple[str, ...]) -> None:
        self.saved.append((directory, formats))


class StandInRunner:
    """Records how `runner.run` is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Scenario, int | None, bool]] = []
        self.results: list[StandInResult] = []
        self.ending: dict[str, Any] = {}

    def run(
        self,
        scenario: Scenario,
        *,
        seed: int | None = None,
        progress: Any = None,
        keep_rates: bool = False,
    ) -> StandInResult:
        self.calls.append((scenario, seed, keep_rates))
        progress(0.5, 12.0)
        self.results.append(StandInResult(scenario, **self.ending))
        return self.results[-1]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call the command line with these arguments."""

    def call(*arguments: str | Path) -> Said:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> StandInRunner:
    """A runner that simulates nothing."""
    stand_in = StandInRunner()
    monkeypatch.setattr("clustersim.study.runner.run", stand_in.run)
    return stand_in


@pytest.fixture(scope="session")
def minimal() -> Path:
    """A small scenario file."""
    return CASES / "valid" / "minimal.yaml"
