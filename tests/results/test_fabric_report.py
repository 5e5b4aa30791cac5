"""What the links carried."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import synthetic_result
from clustersim.results import FabricReport


def test_the_busiest_links_come_first_and_ties_stand_in_the_order_of_names() -> None:
    fabric = synthetic_result.fabric()
    assert [use.name for use in fabric.busiest(2)] == [synthetic_result.UPLINK, synthetic_result.DOWNLINK]
    tied = replace(fabric, mean_utilization=np.array([0.5, 0.5, 0.5]))
    assert [use.name for use in tied.busiest()] == sorted(tied.names)


def test_saturated_intervals_are_the_runs_of_full_bins() -> None:
    uplink, downlink, _ = synthetic_result.fabric().busiest()
    assert uplink.saturated_intervals_s == ((0.5, 1.5),)
    assert downlink.saturated_intervals_s == ()


def test_a_link_that_was_full_at_both_ends_has_two_intervals() -> None:
    fabric = replace(synthetic_result.fabric(), utilization=np.array([[1.0, 0, 0, 1.0]] * 3))
    assert fabric.busiest(1)[0].saturated_intervals_s == ((0.0, 0.5), (1.5, 2.0))


def test_a_link_that_never_was_full_has_no_times() -> None:
    use = synthetic_result.fabric().link(synthetic_result.DOWNLINK)
    assert (use.first_saturated_s, use.last_saturated_s) == (None, None)


def test_bytes_by_tier_add_up_to_all_bytes() -> None:
    fabric = synthetic_result.fabric()
    assert fabric.bytes_by_tier() == {"scale-up": 60e9, "leaf-spine": 31.25e9}
    assert sum(fabric.bytes_by_tier().values()) == pytest.approx(fabric.metrics()["carried_bytes"])


def test_only_links_that_carried_something_are_kept() -> None:
    topology = SimpleNamespace(
        link_names=("a>b", "b>a", "b>c"),
        link_tier=("nic", "nic", "spine"),
        link_kind=("ethernet",) * 3,
        link_bandwidth_bytes_per_s=np.array([1.0, 2.0, 3.0]),
    )
    usage = SimpleNamespace(
        until_s=2.0,
        bytes=np.array([1.0, 0.0, 3.0]),
        mean_utilization=np.array([0.5, 0.0, 0.5]),
        saturated_s=np.zeros(3),
        first_saturated_s=np.full(3, np.nan),
        last_saturated_s=np.full(3, np.nan),
        bin_edges_s=np.array([0.0, 1.0, 2.0]),
        used_links=np.array([0, 2]),
        utilization=np.array([[1.0, 0.0], [0.5, 0.5]]),
    )
    report = FabricReport.of(usage, topology)  # type: ignore[arg-type]
    assert (report.names, report.tiers, report.links) == (("a>b", "b>c"), ("nic", "spine"), 3)
    assert report.capacity_bytes_per_s.tolist() == [1.0, 3.0]
    assert report.max_utilization.tolist() == [1.0, 0.5]


def test_links_that_look_alike_are_shown_once_with_their_number() -> None:
    even = replace(
        synthetic_result.fabric(),
        tiers=("leaf-spine",) * 3,
        capacity_bytes_per_s=np.full(3, 12.5e9),
        mean_utilization=np.array([0.5, 0.5001, 0.25]),
        saturated_s=np.zeros(3),
    )
    shown = [(use.name, more) for use, more in even.alike()]
    assert shown == [(synthetic_result.DOWNLINK, 1), (synthetic_result.NVLINK, 0)]


def test_a_link_that_was_full_for_long_is_shown_though_others_are_busier() -> None:
    fabric = replace(synthetic_result.fabric(), saturated_s=np.array([0.0, 0.0, 1.5]))
    shown = [use.name for use, _ in fabric.alike(1, fullest=2)]
    assert shown == [synthetic_result.UPLINK, synthetic_result.NVLINK]


def test_of_links_that_look_alike_the_one_that_held_somebody_back_stands_for_all() -> None:
    even = replace(
        synthetic_result.fabric(),
        tiers=("leaf-spine",) * 3,
        capacity_bytes_per_s=np.full(3, 12.5e9),
        mean_utilization=np.full(3, 0.5),
        saturated_s=np.zeros(3),
    )
    ((use, more),) = even.alike()
    assert (use.name, use.protocol_bound_s, more) == (synthetic_result.DOWNLINK, 0.25, 2)


def test_a_network_that_carried_nothing_has_no_metrics() -> None:
    empty = replace(
        synthetic_result.fabric(),
        names=(),
        tiers=(),
        kinds=(),
        mean_utilization=np.empty(0),
        utilization=np.empty((0, 4)),
    )
    assert empty.metrics() == {}
    assert empty.busiest() == ()
    assert empty.alike() == ()
