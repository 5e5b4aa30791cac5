"""Every shipped scenario runs, and its resolved twin gives the same answer."""

from __future__ import annotations

from pathlib import Path

import pytest

import clustersim as cs

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_shipped_scenario_runs_to_its_end_and_says_so(path: Path) -> None:
    result = cs.run(cs.load(path))
    assert result.complete
    for name, outcome in result.outcomes.items():
        assert outcome.metrics, name
        assert sum(outcome.attribution.values()) == pytest.approx(1.0, abs=1e-9)
    assert result.summary()
