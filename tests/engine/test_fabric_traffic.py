"""Traffic classes: weighted shares within a priority, strict pre-emption between priorities."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simpy
from fluid_twin import Case, cases, run_fabric, twin_finish_times
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.engine.fabric import Fabric, Flow, TrafficClass
from clustersim.errors import InputError

FIRST, SECOND, THIRD = (TrafficClass(priority) for priority in range(3))
TRAFFIC = st.builds(
    TrafficClass,
    priority=st.integers(0, 2),
    weight=st.one_of(st.just(1.0), st.sampled_from([0.5, 2.0]), st.floats(0.1, 4.0)),
)


@st.composite
def ranked_cases(draw: st.DrawFn) -> Case:
    case = draw(cases())
    return replace(case, jobs=[replace(job, traffic=draw(TRAFFIC)) for job in case.jobs])


def make(*capacities: float) -> tuple[simpy.Environment, Fabric]:
    env = simpy.Environment()
    return env, Fabric(env, capacities, names=[f"link{i}" for i in range(len(capacities))])


def send(fabric: Fabric, links: list[int], size_bytes: float, traffic: TrafficClass, **more: float) -> Flow:
    return fabric.start(fabric.route_set(links, traffic=traffic), size_bytes, **more)


# -- weights ----------------------------------------------------------------------------


def test_a_connection_of_weight_three_gets_three_quarters_beside_one_of_weight_one() -> None:
    env, fabric = make(8.0)
    heavy = send(fabric, [0], 60.0, TrafficClass(weight=3.0))
    light = send(fabric, [0], 60.0, TrafficClass())
    env.run(until=1.0)
    assert (heavy.rate_bytes_per_s, light.rate_bytes_per_s) == (6.0, 2.0)
    assert fabric.load_bytes_per_s(0) == 8.0
    env.run()
    assert (heavy.finished_s, light.finished_s) == (10.0, 15.0)
    assert fabric.usage().bytes[0] == pytest.approx(120.0)
    assert [moved for _, moved in fabric.moved_bytes()] == [60.0, 60.0]


def test_what_a_heavy_connection_cannot_use_goes_to_the_light_one() -> None:
    env, fabric = make(8.0, 4.0)
    heavy = send(fabric, [0, 1], 40.0, TrafficClass(weight=3.0))
    light = send(fabric, [0], 40.0, TrafficClass())
    env.run()
    assert (heavy.finished_s, light.finished_s) == (pytest.approx(10.0), pytest.approx(10.0))


def test_a_bound_is_of_the_rate_and_not_of_the_share() -> None:
    env, fabric = make(8.0)
    flow = send(fabric, [0], 10.0, TrafficClass(weight=4.0), bound_bytes_per_s=2.0)
    env.run()
    assert (flow.finished_s, flow.bound_s) == (5.0, 5.0)


# -- priorities -------------------------------------------------------------------------


def test_the_first_priority_takes_all_it_can_and_the_second_what_is_left() -> None:
    env, fabric = make(10.0, 6.0)
    first = send(fabric, [0, 1], 12.0, FIRST)
    second = send(fabric, [0], 40.0, SECOND)
    env.run(until=1.0)
    assert (first.rate_bytes_per_s, second.rate_bytes_per_s) == (6.0, 4.0)
    assert fabric.load_bytes_per_s(0) == 10.0
    env.run()
    assert (first.finished_s, second.finished_s) == (2.0, 5.2)
    assert second.held_by() == {0: 5.2}
    usage = fabric.usage()
    assert usage.bytes.tolist() == [52.0, 12.0]
    assert usage.saturated_s.tolist() == [5.2, 2.0]


def test_a_starved_flow_stands_still_without_being_stalled_and_resumes() -> None:
    env, fabric = make(10.0)
    second = send(fabric, [0], 30.0, SECOND)
    env.run(until=1.0)
    first = send(fabric, [0], 20.0, FIRST)
    env.run(until=2.0)
    assert (first.rate_bytes_per_s, second.rate_bytes_per_s) == (10.0, 0.0)
    assert fabric.stalled() == []
    env.run()
    assert (first.finished_s, second.finished_s) == (3.0, 5.0)
    assert second.held_by() == {0: 5.0}
    assert fabric.usage().saturated_s[0] == 5.0


def test_a_dead_link_stalls_every_priority_and_says_so() -> None:
    env, fabric = make(10.0, 10.0)
    flows = [send(fabric, [0, 1], 30.0, traffic) for traffic in (FIRST, THIRD)]
    fabric.set_capacity(1, 0.0)
    env.run(until=2.0)
    assert fabric.stalled() == [1]
    fabric.set_capacity(1, 15.0)
    env.run()
    assert [flow.finished_s for flow in flows] == [5.0, 8.0]


def test_the_lowest_of_three_gets_what_both_others_leave() -> None:
    env, fabric = make(10.0)
    flows = [
        send(fabric, [0], 100.0, traffic, bound_bytes_per_s=bound)
        for traffic, bound in ((THIRD, math.inf), (SECOND, 3.0), (FIRST, 5.0))
    ]
    env.run(until=1.0)
    assert [flow.rate_bytes_per_s for flow in flows] == [2.0, 3.0, 5.0]


def test_a_second_priority_that_comes_later_finds_flows_under_way() -> None:
    env, fabric = make(10.0)
    first = send(fabric, [0], 50.0, FIRST, bound_bytes_per_s=6.0)
    env.run(until=5.0)
    second = send(fabric, [0], 20.0, SECOND)
    env.run()
    assert (first.finished_s, second.finished_s) == (pytest.approx(50 / 6), pytest.approx(9.0))


def test_strangers_of_another_priority_end_privacy() -> None:
    _, fabric = make(1.0, 1.0, 1.0)
    ours = fabric.route_set([0, 1], owner="job")
    calls: list[str] = []
    ours.on_shared.append(lambda: calls.append("shared"))
    mine = fabric.route_set([0], owner="job", traffic=SECOND)
    assert fabric.private(ours)
    assert fabric.private(mine)
    far = fabric.route_set([2], owner="other", traffic=SECOND)
    fabric.route_set([1], owner="other", traffic=SECOND)
    assert [fabric.private(route_set) for route_set in (ours, mine, far)] == [False, True, True]
    assert calls == ["shared"]


def test_one_priority_costs_what_it_did_before_there_were_any() -> None:
    env, fabric = make(10.0, 10.0)
    for links in ([0], [0, 1]):
        fabric.start(fabric.route_set(links, traffic=TrafficClass(weight=2.0)), 10.0)
    env.run()
    assert (fabric.solves, fabric.flows_touched, fabric.wakes) == (1, 3, 1)


# -- against the slow twin --------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(case=ranked_cases())
def test_finish_times_with_traffic_classes_are_those_of_the_slow_twin(case: Case) -> None:
    _, flows = run_fabric(case)
    got, want = [flow.finished_s for flow in flows], twin_finish_times(case)
    assert [math.isnan(a) for a in got] == [math.isnan(b) for b in want]
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(case=ranked_cases())
def test_priorities_never_overfill_a_link_and_account_for_every_second(case: Case) -> None:
    fabric, flows = run_fabric(case)
    usage = fabric.usage()
    assert np.all(usage.utilization <= 1 + 1e-9)
    assert np.all(usage.saturated_s <= usage.until_s * (1 + 1e-12))
    for flow in flows:
        end_s = flow.env.now if math.isnan(flow.finished_s) else flow.finished_s
        held_s = sum(flow.held_by().values()) + flow.bound_s
        assert held_s == pytest.approx(end_s - flow.started_s, rel=1e-9, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(case=cases(), priority=st.integers(1, 3))
def test_flows_of_one_priority_alone_run_as_if_there_were_none(case: Case, priority: int) -> None:
    """The lower bands keep every link's load; the answer is the same."""
    lower = replace(case, jobs=[replace(job, traffic=TrafficClass(priority)) for job in case.jobs])
    finish = [[flow.finished_s for flow in run_fabric(each)[1]] for each in (lower, case)]
    np.testing.assert_allclose(*finish, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("make_traffic", "message"),
    [
        (lambda: TrafficClass(-1), "priority must be an integer of zero or more, got -1"),
        (lambda: TrafficClass(weight=0.0), "weight must be positive and finite, got 0.0"),
        (lambda: TrafficClass(weight=math.inf), "weight must be positive and finite"),
    ],
)
def test_impossible_traffic_classes_are_refused(make_traffic, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_traffic()
