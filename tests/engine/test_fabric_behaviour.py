"""Owners, links as resources, meters, short cuts, and how much work a change makes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import simpy

from clustersim.engine.fabric import Fabric, Link, replay_flows
from clustersim.errors import InputError


def make(*capacities: float, merge_from: int = 8) -> tuple[simpy.Environment, Fabric]:
    env = simpy.Environment()
    names = [f"link{i}" for i in range(len(capacities))]
    return env, Fabric(env, capacities, names=names, merge_from=merge_from)


# -- owners -----------------------------------------------------------------------------


def test_route_sets_of_one_owner_stay_private() -> None:
    _, fabric = make(1.0, 1.0, 1.0)
    first = fabric.route_set([0, 1], owner="job")
    second = fabric.route_set([1, 2], owner="job")
    assert fabric.private(first)
    assert fabric.private(second)


@pytest.mark.parametrize("merge_from", [1, 8])
def test_a_stranger_on_one_link_ends_privacy_and_tells_once(merge_from: int) -> None:
    _, fabric = make(1.0, 1.0, 1.0, merge_from=merge_from)
    ours = fabric.route_set([0, 1], owner="job")
    calls: list[str] = []
    ours.on_shared.append(lambda: calls.append("shared"))
    far = fabric.route_set([2], owner="other")
    assert fabric.private(ours)
    fabric.route_set([1, 2], owner="other")
    fabric.route_set([0], owner="third")
    assert not fabric.private(ours)
    assert fabric.private(far)
    assert calls == ["shared"]


@pytest.mark.parametrize("merge_from", [1, 8])
def test_a_changed_capacity_ends_privacy_for_route_sets_of_before_and_after(merge_from: int) -> None:
    _, fabric = make(1.0, 1.0, 1.0, merge_from=merge_from)
    before = fabric.route_set([0, 1], owner="job")
    calls: list[str] = []
    before.on_shared.append(lambda: calls.append("changed"))
    fabric.set_capacity(1, 1.0)
    assert fabric.private(before)
    fabric.set_capacity(1, 0.5)
    fabric.set_capacity(1, 1.0)
    assert not fabric.private(before)
    assert calls == ["changed"]
    assert not fabric.private(fabric.route_set([1, 2], owner="job"))
    assert fabric.private(fabric.route_set([2], owner="job"))


def test_anonymous_route_sets_are_strangers_to_each_other() -> None:
    _, fabric = make(1.0, 1.0)
    first, second = fabric.route_set([0]), fabric.route_set([0, 1])
    assert not fabric.private(first)
    assert not fabric.private(second)


def test_the_same_links_and_owner_give_the_same_route_set() -> None:
    _, fabric = make(1.0, 1.0)
    assert fabric.route_set([1, 0], owner="a") is fabric.route_set([0, 1], owner="a")
    assert fabric.route_set([0, 1], owner="a") is not fabric.route_set([0, 1], owner="b")


# -- links as simpy resources -----------------------------------------------------------


def test_a_link_is_a_resource_that_a_process_can_put_bytes_on() -> None:
    env, fabric = make(10.0)
    link = Link(fabric, 0)
    done: list[float] = []

    def sender(size_bytes: float):
        yield link.put(size_bytes)
        done.append(env.now)

    env.process(sender(20.0))
    env.process(sender(40.0))
    env.run(until=1.0)
    assert link.load_bytes_per_s == pytest.approx(10.0)
    link.capacity_bytes_per_s = 20.0
    env.run()
    assert done == [2.5, 3.5]


# -- meters -----------------------------------------------------------------------------


def test_utilisation_is_exact_where_a_bin_has_capacity_for_a_rounding_error_only() -> None:
    env, fabric = make(100.0)
    env.run(until=0.5)
    fabric.set_capacity(0, 0.0)
    fabric.start(fabric.route_set([0]), 1.0)
    env.run(until=1.9999999999999991)
    fabric.set_capacity(0, 10.0)
    env.run()
    assert fabric.usage().utilization.max() == pytest.approx(1.0, rel=1e-12)


def test_usage_counts_bytes_saturated_time_and_utilisation() -> None:
    env, fabric = make(10.0, 20.0, 5.0)
    fabric.start(fabric.route_set([0, 1]), 40.0)
    env.run(until=8.0)
    usage = fabric.usage(8.0)
    assert usage.bytes.tolist() == [40.0, 40.0, 0.0]
    assert usage.mean_utilization.tolist() == [0.5, 0.25, 0.0]
    assert usage.saturated_s.tolist() == [4.0, 0.0, 0.0]
    assert (usage.first_saturated_s[0], usage.last_saturated_s[0]) == (0.0, 4.0)
    assert math.isnan(usage.first_saturated_s[2])
    assert usage.used_links.tolist() == [0, 1]
    inside = usage.bin_edges_s[1:] <= 4.0
    assert usage.utilization[0, inside] == pytest.approx(1.0)
    assert usage.utilization[:, usage.bin_edges_s[:-1] >= 4.0] == pytest.approx(0.0)
    assert usage.bin_edges_s[-1] == 8.0


def test_links_that_are_merged_are_metered_one_by_one() -> None:
    links = 100
    env, fabric = make(*[10.0] * (links - 1), 40.0)
    fabric.start(fabric.route_set(range(links), [1.0] * (links - 1) + [2.0], owner="ring"), 50.0)
    env.run()
    usage = fabric.usage()
    assert usage.bytes.tolist() == [50.0] * (links - 1) + [100.0]
    assert usage.saturated_s.tolist() == [5.0] * (links - 1) + [0.0]
    widths = np.diff(usage.bin_edges_s)
    assert usage.utilization[0] @ widths == pytest.approx(5.0)
    assert usage.utilization[-1] @ widths == pytest.approx(2.5)


def test_a_series_keeps_its_size_however_long_the_run() -> None:
    env, fabric = make(10.0)
    route = fabric.route_set([0])

    def sender():
        for gap_s in np.geomspace(1e-6, 1e3, 40):
            yield fabric.start(route, 1.0)
            yield env.timeout(gap_s)

    env.process(sender())
    env.run()
    usage = fabric.usage()
    assert usage.utilization.shape[1] <= 256
    carried = (usage.utilization * np.diff(usage.bin_edges_s)).sum() * 10.0
    assert carried == pytest.approx(40.0)


def test_means_follow_a_capacity_that_changed() -> None:
    env, fabric = make(10.0)
    fabric.start(fabric.route_set([0]), 60.0)
    env.run(until=4.0)
    fabric.set_capacity(0, 5.0)
    env.run(until=10.0)
    usage = fabric.usage()
    assert usage.mean_utilization[0] == pytest.approx(60.0 / (40.0 + 30.0))
    assert usage.saturated_s[0] == pytest.approx(8.0)


def test_booked_bytes_count_as_if_they_had_been_simulated() -> None:
    booked_env, booked = make(10.0, 40.0)
    route = booked.route_set([0, 1], owner="job")
    booked.account(route, 30.0, 1.0, 4.0)
    booked_env.run(until=8.0)
    env, simulated = make(10.0, 40.0)
    env.run(until=1.0)
    simulated.start(simulated.route_set([0, 1], owner="job"), 30.0)
    env.run(until=8.0)
    one, other = booked.usage(), simulated.usage()
    np.testing.assert_allclose(one.bytes, other.bytes)
    np.testing.assert_allclose(one.saturated_s, other.saturated_s)
    np.testing.assert_allclose(one.utilization, other.utilization, atol=1e-12)


def test_usage_in_the_middle_of_a_flow_counts_what_has_moved() -> None:
    env, fabric = make(10.0)
    fabric.start(fabric.route_set([0]), 100.0)
    env.run(until=3.0)
    assert fabric.usage().bytes[0] == pytest.approx(30.0)
    env.run(until=5.0)
    assert fabric.usage().bytes[0] == pytest.approx(50.0)
    with pytest.raises(InputError, match="ask for now or later"):
        fabric.usage(4.0)


# -- how much work a change makes -------------------------------------------------------


def test_a_lone_flow_is_solved_once_and_touches_one_class() -> None:
    env, fabric = make(*[10.0] * 500)
    fabric.start(fabric.route_set(range(500), owner="ring"), 50.0)
    env.run()
    assert (fabric.solves, fabric.flows_touched, fabric.wakes) == (1, 1, 1)


def test_changes_of_one_instant_are_solved_once() -> None:
    env, fabric = make(10.0)
    for _ in range(100):
        fabric.start(fabric.route_set([0]), 50.0)
    env.run()
    assert fabric.solves == 1
    assert fabric.wakes == 1


def test_a_change_touches_only_whom_it_reaches() -> None:
    """Ninety-nine busy links elsewhere cost nothing."""
    env, fabric = make(*[10.0] * 100)
    for link in range(1, 100):
        for _ in range(3):
            fabric.start(fabric.route_set([link]), 1e6)
    env.run(until=1.0)
    before = fabric.flows_touched
    fabric.start(fabric.route_set([0]), 10.0)
    env.run(until=10.0)
    assert fabric.flows_touched == before + 1


def test_the_departure_of_a_flow_that_held_nobody_back_solves_nothing() -> None:
    env, fabric = make(10.0, 2.0)
    fabric.start(fabric.route_set([0, 1]), 4.0)
    env.run(until=1.0)
    fabric.start(fabric.route_set([0]), 1e6, bound_bytes_per_s=3.0)
    env.run(until=1.5)
    before = fabric.solves
    env.run(until=5.0)
    assert fabric.solves == before


def test_a_transfer_that_follows_an_equal_one_at_once_solves_nothing() -> None:
    env, fabric = make(10.0)
    route = fabric.route_set([0])

    def sender():
        for _ in range(50):
            yield fabric.start(route, 10.0)

    env.process(sender())
    env.run()
    assert env.now == 50.0
    assert fabric.solves == 1


def test_the_clock_far_from_zero_loses_no_flow_and_does_not_stand_still() -> None:
    env = simpy.Environment(initial_time=1e9)
    fabric = Fabric(env, [1e9, 3e9], names=["a", "b"])
    flows = [fabric.start(fabric.route_set([i % 2]), 1.0 + i / 7) for i in range(50)]
    env.run()
    assert all(flow.processed for flow in flows)
    assert fabric.wakes <= 50


# -- refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda f: f.route_set([2]), "links 0 to 1"),
        (lambda f: f.route_set([0], [0.0]), "weight of link 0"),
        (lambda f: f.route_set([0], [1.0, 2.0]), "2 weights for 1 links"),
        (lambda f: f.start(f.route_set([0]), -1.0), "zero or more bytes"),
        (lambda f: f.start(f.route_set([0]), math.nan), "zero or more bytes"),
        (lambda f: f.start(f.route_set([0]), 1.0, bound_bytes_per_s=0.0), "must be positive"),
        (lambda f: f.set_capacity(0, math.inf), "link link0"),
        (lambda f: f.set_capacity(5, 1.0), "unknown link 5"),
        (lambda f: f.account(f.route_set([0]), 1.0, 2.0, 1.0), "end not before the start"),
        (lambda f: Fabric(f.env, [1.0], names=[]), "0 names for 1 links"),
        (lambda f: replay_flows({"bandwith_Bps": [1.0]}, {}), "Did you mean 'bandwith_Bps'"),
    ],
)
def test_bad_arguments_are_refused_with_a_reason(act, message: str) -> None:
    _, fabric = make(1.0, 1.0)
    with pytest.raises(InputError, match=message):
        act(fabric)
