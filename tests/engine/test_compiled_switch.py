"""Which solver runs, and that changing from one to the other changes no answer."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import simpy
from fluid_twin import Case, cases
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.engine.fabric import Fabric, Flow, replay_flows
from clustersim.engine.fabric.compiled import choice, switch
from clustersim.errors import InputError

needs_numba = pytest.mark.skipif(not choice.installed(), reason="numba (extra 'fast') is not installed")


def run(
    case: Case, *, solver: str = "python", switch_at_s: float = math.inf, until_s: float = 2e3
) -> tuple[Fabric, list[Flow]]:
    env = simpy.Environment()
    names = [f"link{i}" for i in range(len(case.capacities))]
    fabric = Fabric(env, case.capacities, names=names, merge_from=2, solver=solver)
    flows: dict[int, Flow] = {}

    def start(number: int):
        job = case.jobs[number]
        yield env.timeout(job.start_s)
        route_set = fabric.route_set(list(job.weights), list(job.weights.values()))
        flows[number] = fabric.start(route_set, job.size_bytes, bound_bytes_per_s=job.bound)

    def change(time_s: float, link: int, capacity: float):
        yield env.timeout(time_s)
        fabric.set_capacity(link, capacity)

    for number in range(len(case.jobs)):
        env.process(start(number))
    for time_s, link, capacity in sorted(case.changes):
        env.process(change(time_s, link, capacity))
    if switch_at_s < until_s:
        env.run(until=switch_at_s)
        fabric.switch_to_compiled()
    env.run(until=until_s)
    return fabric, [flows[number] for number in range(len(case.jobs))]


@needs_numba
@settings(max_examples=150, deadline=None)
@given(case=cases(), switch_at_s=st.floats(0.01, 8.0))
def test_a_switch_in_the_middle_changes_no_answer(case: Case, switch_at_s: float) -> None:
    stayed, flows = run(case)
    switched, flows_switched = run(case, switch_at_s=switch_at_s)
    finish = [[flow.finished_s for flow in each] for each in (flows_switched, flows)]
    np.testing.assert_allclose(*finish, rtol=1e-9, atol=1e-12)
    one, other = switched.usage(), stayed.usage()
    np.testing.assert_allclose(one.bytes, other.bytes, rtol=1e-9)
    assert switched.stalled() == stayed.stalled()
    for flow in flows_switched:
        end_s = flow.env.now if math.isnan(flow.finished_s) else flow.finished_s
        held_s = sum(flow.held_by().values()) + flow.bound_s
        assert held_s == pytest.approx(end_s - flow.started_s, rel=1e-9, abs=1e-12)


@needs_numba
def test_privacy_and_who_asked_survive_the_switch() -> None:
    env = simpy.Environment()
    fabric = Fabric(env, [1.0, 1.0, 1.0], names=["a", "b", "c"], solver="python")
    ours, altered = fabric.route_set([0, 1], owner="job"), fabric.route_set([2], owner="other")
    fabric.set_capacity(2, 0.5)
    calls: list[str] = []
    ours.on_shared.append(lambda: calls.append("shared"))
    fabric.switch_to_compiled()
    assert (fabric.private(ours), fabric.private(altered), calls) == (True, False, [])
    assert not fabric.private(fabric.route_set([2], owner="third"))
    fabric.route_set([1], owner="third")
    assert (fabric.private(ours), calls) == (False, ["shared"])


@needs_numba
def test_a_run_switches_once_solving_took_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUSTERSIM_SOLVER", raising=False)
    monkeypatch.setattr(switch, "WORTH_IT_S", 0.02)
    env = simpy.Environment()
    fabric = Fabric(env, [1e9] * 40, names=[str(i) for i in range(40)], repeatable=True)

    def sender(number: int):
        for turn in range(100):
            route = fabric.route_set([number, (number + turn) % 20 + 20])
            yield fabric.start(route, 1e6 * (1 + (number * 7 + turn) % 5))

    assert fabric.solver == "python"
    for number in range(20):
        env.process(sender(number))
    env.run()
    assert fabric.solver == "compiled"
    assert fabric.usage().bytes[:20].sum() == pytest.approx(1e6 * 3 * 2000, rel=0.1)


def test_a_repeatable_fabric_does_not_mind_what_went_before() -> None:
    other, mine = switch.Work(repeatable=False), switch.Work(repeatable=True)
    other.add(10 * switch.WORTH_IT_S)
    assert not mine.add(0.4 * switch.WORTH_IT_S)
    assert mine.add(0.6 * switch.WORTH_IT_S)
    assert not mine.begin_compiled()


@pytest.mark.parametrize("make", [lambda s: Fabric(simpy.Environment(), [], names=[], solver=s)])
def test_an_unknown_solver_is_refused(make) -> None:
    with pytest.raises(InputError, match="Did you mean 'python'"):
        make("pyton")
    with pytest.raises(InputError, match="solver must be one of auto, python, compiled"):
        replay_flows({"bandwidth_Bps": []}, {"bytes": [], "start": [], "path": []}, solver="c")


def test_without_numba_auto_stays_interpreted_and_compiled_says_what_to_install() -> None:
    code = """
import sys
sys.modules["numba"] = None
import simpy
from clustersim.engine.fabric import Fabric, replay_flows
from clustersim.errors import InputError
flows = {"bytes": [1.0] * 2000, "start": [0.0] * 2000, "path": ["0"] * 2000}
assert replay_flows({"bandwidth_Bps": [1e3]}, flows)["finish"][0] == 2.0
assert Fabric(simpy.Environment(), [], names=[]).solver == "python"
try:
    Fabric(simpy.Environment(), [], names=[], solver="compiled")
except InputError as error:
    assert "pip install 'clustersim[fast]'" in str(error), error
else:
    raise SystemExit("not refused")
"""
    environment = {key: value for key, value in os.environ.items() if key != "CLUSTERSIM_SOLVER"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_importing_clustersim_does_not_import_numba() -> None:
    code = "import sys, clustersim, clustersim.engine.world; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_numba
def test_the_kernel_works_where_nothing_can_be_kept(tmp_path: Path) -> None:
    """Neither beside the package nor in the user's cache: compiled again, without an error."""
    code = """
from numba.core import caching
caching.CacheImpl._locator_classes = []
from clustersim.engine.fabric.compiled import kernel
read = kernel._entry((kernel.uint8[::1], kernel.int64[::1], kernel.int64[::1]), lambda t, n, e: len(t))
import numpy as np
assert read(np.zeros(3, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64)) == 3
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_numba
def test_whatever_the_kernel_is_made_of_makes_it_anew_when_it_changes() -> None:
    from clustersim.engine.fabric.compiled import kernel

    folder = Path(kernel.__file__).parent
    compiled_from = {path.stem for path in folder.glob("*.py") if "compiled.jit import" in path.read_text()}
    assert {*compiled_from, "jit", "layout", "kernel"} == set(kernel.PARTS)
