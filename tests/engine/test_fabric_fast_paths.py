"""Short cuts of the interpreted solver: what they save, and that rates stay max-min fair at every instant."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simpy
from fluid_twin import Case, Job, cases, run_fabric, twin_finish_times
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.engine.fabric import Fabric, Flow, TrafficClass
from clustersim.engine.fabric.reference import ReferenceClass, max_min_rates
from clustersim.errors import InputError


def make(*capacities: float, keep_rates: bool = False) -> tuple[simpy.Environment, Fabric]:
    env = simpy.Environment()
    names = [f"link{i}" for i in range(len(capacities))]
    return env, Fabric(env, capacities, names=names, keep_rates=keep_rates, solver="python")


# -- what needs no solve ----------------------------------------------------------------


def test_a_lone_transfer_costs_one_event_of_the_fabric() -> None:
    env, fabric = make(10.0, 10.0)
    fabric.start(fabric.route_set([0, 1]), 50.0)
    env.run()
    assert (fabric.events, fabric.wakes, env.now) == (1, 1, 5.0)


def test_transfers_that_fit_beside_each_other_cost_one_event_each() -> None:
    """A wide link between narrow ones: nobody holds anybody back."""
    env, fabric = make(100.0, *[10.0] * 8)
    flows = [fabric.start(fabric.route_set([0, 1 + n]), 10.0 * (n + 1)) for n in range(8)]
    env.run()
    assert [flow.finished_s for flow in flows] == [n + 1.0 for n in range(8)]
    assert fabric.events == 8
    assert fabric.usage().saturated_s.tolist() == [0.0, *[n + 1.0 for n in range(8)]]


def test_the_transfer_that_does_not_fit_any_more_is_solved_for() -> None:
    env, fabric = make(25.0, *[10.0] * 3)
    flows = [fabric.start(fabric.route_set([0, 1 + n]), 100.0) for n in range(3)]
    env.run(until=1.0)
    assert [flow.rate_bytes_per_s for flow in flows] == pytest.approx([25 / 3] * 3)


def test_links_that_one_class_fills_count_as_full_even_where_a_shared_link_holds_it() -> None:
    env, fabric = make(10.0, 5.0, 5.0)
    for _ in range(2):
        fabric.start(fabric.route_set([0, 1], [1.0, 0.5]), 50.0)
    fabric.start(fabric.route_set([2]), 50.0)
    env.run()
    assert fabric.usage().saturated_s.tolist() == [10.0, 10.0, 10.0]


def test_a_departure_may_fill_a_link_that_had_room() -> None:
    """Two flows are freed at once and meet on a link that neither of them was held back by."""
    env, fabric = make(4.0, 4.0, 10.0)
    leaving = fabric.start(fabric.route_set([0, 1]), 8.0)
    freed = [fabric.start(fabric.route_set([n, 2]), 1e3) for n in (0, 1)]
    third = fabric.start(fabric.route_set([2]), 1e3, bound_bytes_per_s=4.0)
    env.run(until=5.0)
    assert leaving.finished_s == 4.0
    assert [flow.rate_bytes_per_s for flow in (*freed, third)] == pytest.approx([10 / 3] * 3)


def test_many_classes_on_one_link_are_filled_up_to_their_caps() -> None:
    env, fabric = make(100.0, *[1.0 + n for n in range(20)])
    flows = [fabric.start(fabric.route_set([0, 1 + n]), 1e4) for n in range(20)]
    env.run(until=1.0)
    want = max_min_rates(
        [100.0, *[1.0 + n for n in range(20)]], [ReferenceClass({0: 1, 1 + n: 1}) for n in range(20)]
    )
    assert [flow.rate_bytes_per_s for flow in flows] == pytest.approx(want, rel=1e-12)


def test_where_all_links_are_equally_full_a_departure_reaches_only_those_that_it_met() -> None:
    """All-to-all of equal flows: the others are held back by their other end as well."""
    hosts = 16
    env, fabric = make(*[float(hosts - 1)] * (2 * hosts))
    for source in range(hosts):
        for target in range(hosts):
            if source != target:
                size = 1.0 if (source, target) == (0, 1) else 100.0
                fabric.start(fabric.route_set([source, hosts + target]), size)
    env.run(until=0.5)
    before = fabric.flows_touched
    env.run(until=2.0)
    assert fabric.flows_touched - before <= 2 * hosts
    assert env.now == 2.0


# -- rates at every instant -------------------------------------------------------------


def assert_fair(fabric: Fabric, flows: list[Flow], capacities: list[float]) -> None:
    alive = [flow for flow in flows if flow.sharing is not None]
    classes = [
        ReferenceClass(
            dict(zip(f.route_set.links, f.route_set.weights, strict=True)), f.bound, 1, f.route_set.traffic
        )
        for f in alive
    ]
    want = max_min_rates(capacities, classes)
    np.testing.assert_allclose([flow.rate_bytes_per_s for flow in alive], want, rtol=1e-9, atol=1e-12)
    for link, capacity in enumerate(capacities):
        load = sum(rate * c.weights.get(link, 0.0) for rate, c in zip(want, classes, strict=True))
        assert fabric.load_bytes_per_s(link) == pytest.approx(load, rel=1e-9, abs=1e-9 * max(capacity, 1.0))


@settings(max_examples=120, deadline=None)
@given(case=cases(), ranked=st.booleans(), draw=st.randoms(use_true_random=False))
def test_rates_and_loads_are_right_after_every_change(case: Case, ranked: bool, draw) -> None:
    """Looked at between the changes, where nothing is on its way to be solved."""
    if ranked:
        traffic = [TrafficClass(draw.randrange(3), draw.choice([0.5, 1.0, 3.0])) for _ in case.jobs]
        case = replace(case, jobs=[replace(j, traffic=t) for j, t in zip(case.jobs, traffic, strict=True)])
    env, fabric = make(*case.capacities)
    capacities, flows = list(case.capacities), []
    todo = [(job.start_s, 0, job) for job in case.jobs] + [(change[0], 1, change) for change in case.changes]
    for time_s, kind, item in sorted(todo, key=lambda entry: entry[:2]):
        if env.now < (between_s := (env.now + time_s) / 2) < time_s:
            env.run(until=between_s)
            assert_fair(fabric, flows, capacities)
        if time_s > env.now:
            env.run(until=time_s)
        if kind:
            capacities[item[1]] = item[2]
            fabric.set_capacity(item[1], item[2])
        else:
            route = fabric.route_set(list(item.weights), list(item.weights.values()), traffic=item.traffic)
            flow = fabric.start(route, item.size_bytes, bound_bytes_per_s=item.bound)
            flow.bound = item.bound
            flows.append(flow)
    for _ in range(4):
        env.run(until=env.now + 0.37)
        assert_fair(fabric, flows, capacities)


@st.composite
def crowds(draw: st.DrawFn) -> Case:
    """Many flows with many ties over few links, as in a fabric of equal links."""
    links = draw(st.integers(6, 12))
    capacities = draw(st.lists(st.sampled_from([4.0, 8.0]), min_size=links, max_size=links))
    pair = st.tuples(st.integers(0, links // 2 - 1), st.integers(links // 2, links - 1))
    job = st.builds(
        lambda start, size, ends: Job(start / 4, size, dict.fromkeys(ends, 1.0)),
        st.integers(0, 12),
        st.sampled_from([2.0, 3.0, 8.0, 20.0]),
        pair,
    )
    return Case(capacities, draw(st.lists(job, min_size=20, max_size=40)), [])


@settings(max_examples=60, deadline=None)
@given(case=crowds())
def test_a_crowd_of_equal_flows_finishes_when_the_slow_twin_says(case: Case) -> None:
    fabric, flows = run_fabric(case)
    np.testing.assert_allclose([flow.finished_s for flow in flows], twin_finish_times(case), rtol=1e-9)
    assert np.all(fabric.usage().saturated_s <= fabric.usage().until_s * (1 + 1e-12))


# -- what was carried -------------------------------------------------------------------


def test_the_last_bin_is_never_a_rounding_error() -> None:
    case = Case(
        [0.5, 1.0, 1.0, 1.0],
        [Job(1.0, 20.0, {2: 2.0, 0: 0.1}), Job(0.0, 1.0, dict.fromkeys(range(4), 1.0))],
        [],
    )
    usage = run_fabric(replace(case, changes=[(0.0, 2, 10.0)]))[0].usage()
    assert np.all(usage.utilization <= 1 + 1e-9)
    assert np.diff(usage.bin_edges_s).min() > 1e-6 * np.diff(usage.bin_edges_s).max()


def test_who_shared_a_link_is_told_by_owner() -> None:
    env, fabric = make(10.0, 10.0)
    fabric.start(fabric.route_set([0], [3.0], owner="job"), 20.0)
    fabric.start(fabric.route_set([0, 1]), 5.0)
    fabric.start(fabric.route_set([0], traffic=TrafficClass(weight=2.0)), 7.0)
    env.run()
    assert fabric.shared_by(0) == {"job": pytest.approx(60.0), "": pytest.approx(12.0)}
    assert fabric.shared_by(1) == {"": pytest.approx(5.0)}
    with pytest.raises(InputError, match="unknown link 2"):
        fabric.shared_by(2)


def test_the_history_of_rates_says_when_and_to_what_they_changed() -> None:
    env, fabric = make(10.0, keep_rates=True)
    first, second = fabric.route_set([0]), fabric.route_set([0], owner="job")
    fabric.start(first, 40.0)
    env.run(until=2.0)
    fabric.start(second, 10.0)
    env.run()
    assert [column.tolist() for column in fabric.rate_history(first)] == [[0, 2, 4, 5], [10, 5, 10, 0]]
    assert [column.tolist() for column in fabric.rate_history(second)] == [[2, 4], [5, 0]]
    with pytest.raises(InputError, match="keep_rates=True"):
        make(1.0)[1].rate_history(first)
    assert math.isinf(fabric.recorder.until_s)
