"""Solves that need no sweep: the cases are met, the rates are right, and a failed guess leaves no trace."""

from __future__ import annotations

import pytest
import simpy

from clustersim.engine.fabric import Fabric, Flow
from clustersim.engine.fabric.solver import Solver


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grow by one with each sweep."""
    counted: list[int] = []
    sweep = Solver._sweep

    def count(solver: Solver) -> None:
        counted.append(len(solver.members))
        sweep(solver)

    monkeypatch.setattr(Solver, "_sweep", count)
    return counted


def run(capacities: list[float], flows: list[tuple[float, list[int], float]]) -> list[Flow]:
    """Start flows of (time, links, bytes) and run to the end."""
    env = simpy.Environment()
    fabric = Fabric(env, capacities, names=[str(i) for i in range(len(capacities))], solver="python")
    started: list[Flow] = []

    def start() -> simpy.events.ProcessGenerator:
        for start_s, links, size_bytes in flows:
            yield env.timeout(start_s - env.now)
            started.append(fabric.start(fabric.route_set(links), size_bytes))

    env.process(start())
    env.run()
    return started


def test_two_flows_that_share_two_full_links_need_no_sweep(sweeps: list[int]) -> None:
    first, second = run([10.0, 10.0, 20.0], [(0.0, [0, 1, 2], 100.0), (1.0, [0, 1], 45.0)])
    assert (second.finished_s, first.finished_s) == pytest.approx((10.0, 14.5), rel=1e-12)
    assert not sweeps


def test_classes_that_a_leaver_held_back_on_different_links_rise_without_a_sweep(sweeps: list[int]) -> None:
    flows = [(0.0, [0, 1], 50.0), (0.0, [0, 2], 100.0), (0.0, [1, 3], 100.0)]
    leaver, one, other = run([10.0, 10.0, 10.0, 10.0], flows)
    assert leaver.finished_s == pytest.approx(10.0, rel=1e-12)
    assert one.finished_s == other.finished_s == pytest.approx(15.0, rel=1e-12)
    assert len(sweeps) <= 1  # three that start at once may need one


def test_a_guess_that_would_overfill_another_link_is_taken_back(sweeps: list[int]) -> None:
    # The third halves the first on link 0, which lets the second rise: all three change.
    flows = [(0.0, [0, 1], 1000.0), (0.0, [1], 1000.0), (1.0, [0], 1000.0)]
    first, second, third = run([6.0, 10.0], flows)
    # From 1 s on 3, 7 and 3 bytes/s; the third is alone at the end.
    assert second.finished_s == pytest.approx(1.0 + 995.0 / 7.0, rel=1e-12)
    assert first.finished_s == pytest.approx(1.0 + 995.0 / 3.0, rel=1e-12)
    assert third.finished_s == pytest.approx(first.finished_s + 5.0 / 6.0, rel=1e-12)
    assert sweeps
