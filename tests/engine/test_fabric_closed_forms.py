"""Rates and finish times that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import simpy

from clustersim.engine.fabric import Fabric, Flow
from clustersim.engine.fabric.reference import ReferenceClass, max_min_rates


def make(*capacities: float) -> tuple[simpy.Environment, Fabric]:
    env = simpy.Environment()
    return env, Fabric(env, capacities, names=[f"link{i}" for i in range(len(capacities))])


def at(env: simpy.Environment, time_s: float, action) -> None:
    env.timeout(time_s).callbacks.append(lambda _: action())


def test_a_lone_flow_runs_at_its_narrowest_link() -> None:
    env, fabric = make(10.0, 4.0, 8.0)
    flow = fabric.start(fabric.route_set([0, 1, 2]), 20.0)
    env.run()
    assert flow.finished_s == 5.0
    assert flow.held_by() == {1: 5.0}


def test_two_flows_share_a_link_in_halves() -> None:
    env, fabric = make(10.0)
    route = fabric.route_set([0])
    flows = [fabric.start(route, 20.0), fabric.start(route, 50.0)]
    env.run()
    assert [flow.finished_s for flow in flows] == [4.0, 7.0]


def test_who_cannot_use_its_share_leaves_it_to_the_other() -> None:
    env, fabric = make(10.0, 2.0)
    slow = fabric.start(fabric.route_set([0, 1]), 10.0)
    fast = fabric.start(fabric.route_set([0]), 40.0)
    env.run()
    assert (slow.finished_s, fast.finished_s) == (5.0, 5.0)
    assert slow.held_by() == {1: 5.0}
    assert fast.held_by() == {0: 5.0}


def test_the_long_flow_of_a_parking_lot_gets_the_least_share() -> None:
    env, fabric = make(10.0, 10.0, 12.0)
    long = fabric.start(fabric.route_set([0, 1, 2]), 1e9)
    short = [fabric.start(fabric.route_set([i]), 1e9) for i in (0, 1, 1, 2)]
    env.run(until=1.0)
    third = pytest.approx(10 / 3)
    assert long.rate_bytes_per_s == third
    rates = [flow.rate_bytes_per_s for flow in short]
    assert rates == [pytest.approx(10 - 10 / 3), third, third, pytest.approx(12 - 10 / 3)]


def test_a_later_flow_takes_its_share_and_gives_it_back() -> None:
    env, fabric = make(10.0)
    route = fabric.route_set([0])
    first = fabric.start(route, 100.0)
    second: list[Flow] = []
    at(env, 2.0, lambda: second.append(fabric.start(route, 10.0)))
    env.run()
    assert second[0].finished_s == 4.0
    assert first.finished_s == 11.0
    assert first.held_by() == {0: 11.0}


def test_a_macro_flow_counts_as_its_connections() -> None:
    """Three connections of a collective and one plain flow: a quarter of the link each."""
    env, fabric = make(8.0)
    ring = fabric.start(fabric.route_set([0], [3.0], owner="job"), 20.0)
    plain = fabric.start(fabric.route_set([0]), 20.0)
    env.run(until=1.0)
    assert ring.rate_bytes_per_s == 2.0
    assert plain.rate_bytes_per_s == 2.0


def test_a_macro_flow_goes_at_its_slowest_connection_and_leaves_the_rest() -> None:
    env, fabric = make(10.0, 2.0)
    ring = fabric.start(fabric.route_set([0, 1], [2.0, 1.0]), 20.0)
    plain = fabric.start(fabric.route_set([0]), 60.0)
    env.run(until=1.0)
    assert (ring.rate_bytes_per_s, plain.rate_bytes_per_s) == (2.0, 6.0)
    env.run()
    assert (ring.finished_s, plain.finished_s) == (10.0, 10.0)


def test_a_link_named_twice_counts_twice() -> None:
    _, fabric = make(10.0, 10.0)
    assert fabric.route_set([0, 1, 0]) is fabric.route_set([1, 0], [1.0, 2.0])


def test_a_bound_holds_a_flow_back_and_is_told_apart() -> None:
    env, fabric = make(10.0)
    route = fabric.route_set([0])
    bound = fabric.start(route, 10.0, bound_bytes_per_s=2.0)
    free = fabric.start(route, 40.0)
    env.run()
    assert (bound.finished_s, free.finished_s) == (5.0, 5.0)
    assert (bound.bound_s, bound.held_by()) == (5.0, {})
    assert free.held_by() == {0: 5.0}


def test_a_slower_link_from_now_on_delays_the_rest() -> None:
    env, fabric = make(10.0)
    flow = fabric.start(fabric.route_set([0]), 100.0)
    at(env, 4.0, lambda: fabric.set_capacity(0, 5.0))
    env.run()
    assert flow.finished_s == 16.0


def test_a_dead_link_stalls_its_flows_names_itself_and_can_come_back() -> None:
    env, fabric = make(10.0, 10.0)
    flow = fabric.start(fabric.route_set([0, 1]), 100.0)
    at(env, 4.0, lambda: fabric.set_capacity(1, 0.0))
    env.run(until=6.0)
    assert fabric.stalled() == [1]
    assert flow.rate_bytes_per_s == 0.0
    fabric.set_capacity(1, 10.0)
    env.run()
    assert flow.finished_s == 12.0
    assert fabric.stalled() == []
    assert flow.held_by()[1] >= 2.0
    assert sum(flow.held_by().values()) == 12.0


def test_a_run_ends_with_a_flow_stalled_for_good() -> None:
    env, fabric = make(0.0)
    flow = fabric.start(fabric.route_set([0]), 1.0)
    env.run()
    assert not flow.triggered
    assert math.isnan(flow.finished_s)
    assert fabric.stalled() == [0]


def test_nothing_to_move_takes_no_time() -> None:
    env, fabric = make(10.0)
    flows = [fabric.start(fabric.route_set([0]), 0.0), fabric.start(fabric.route_set([]), 5.0)]
    env.run(env.all_of(flows))
    assert env.now == 0.0
    assert fabric.solves == 0


def test_the_twin_fills_progressively() -> None:
    classes = [
        ReferenceClass({0: 1.0, 1: 1.0}),
        ReferenceClass({0: 1.0}, count=2),
        ReferenceClass({1: 2.0}),
        ReferenceClass({1: 1.0}, bound_bytes_per_s=1.0),
    ]
    assert max_min_rates([9.0, 20.0], classes) == [3.0, 3.0, 8.0, 1.0]
