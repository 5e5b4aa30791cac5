"""The fabric against its slow twin, and what must hold for any flows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from fluid_twin import Case, cases, run_fabric, twin_finish_times
from hypothesis import given, settings

TWIN = settings(max_examples=150, deadline=None)


def assert_same(got: list[float], want: list[float]) -> None:
    assert [math.isnan(a) for a in got] == [math.isnan(b) for b in want]
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@TWIN
@given(case=cases())
def test_finish_times_are_those_of_the_slow_twin(case: Case) -> None:
    _, flows = run_fabric(case)
    assert_same([flow.finished_s for flow in flows], twin_finish_times(case))


@TWIN
@given(case=cases(weighted=False, changing=False))
def test_plain_flows_finish_when_the_slow_twin_says(case: Case) -> None:
    _, flows = run_fabric(case)
    assert_same([flow.finished_s for flow in flows], twin_finish_times(case))


@TWIN
@given(case=cases())
def test_merging_links_into_bundles_changes_no_answer(case: Case) -> None:
    merged, flows = run_fabric(case)
    apart, flows_apart = run_fabric(case, merge_from=1000)
    assert_same([f.finished_s for f in flows], [f.finished_s for f in flows_apart])
    np.testing.assert_allclose(merged.usage().bytes, apart.usage().bytes, rtol=1e-9)
    np.testing.assert_allclose(merged.usage().saturated_s, apart.usage().saturated_s, rtol=1e-6, atol=1e-7)


@TWIN
@given(case=cases())
def test_bytes_are_conserved_on_every_link(case: Case) -> None:
    fabric, flows = run_fabric(case)
    if any(math.isnan(flow.finished_s) for flow in flows):
        return
    want = np.zeros(len(case.capacities))
    for job in case.jobs:
        for link, weight in job.weights.items():
            want[link] += weight * job.size_bytes
    usage = fabric.usage()
    np.testing.assert_allclose(usage.bytes, want, rtol=1e-12)
    widths = np.diff(usage.bin_edges_s)
    capacities = np.array(case.capacities)[usage.used_links]
    if not case.changes:
        in_bins = (usage.utilization * widths).sum(axis=1) * capacities
        np.testing.assert_allclose(in_bins, want[usage.used_links], rtol=1e-9)


@TWIN
@given(case=cases())
def test_no_link_carries_more_than_its_capacity(case: Case) -> None:
    fabric, _ = run_fabric(case)
    usage = fabric.usage()
    assert np.all(usage.mean_utilization <= 1 + 1e-9)
    assert np.all(usage.utilization <= 1 + 1e-9)
    assert np.all(usage.saturated_s <= usage.until_s * (1 + 1e-12))


@TWIN
@given(case=cases())
def test_what_held_a_flow_back_adds_up_to_its_life(case: Case) -> None:
    _, flows = run_fabric(case)
    for flow, job in zip(flows, case.jobs, strict=True):
        held = flow.held_by()
        assert set(held) <= set(job.weights)
        end = flow.env.now if math.isnan(flow.finished_s) else flow.finished_s
        assert sum(held.values()) + flow.bound_s == pytest.approx(end - flow.started_s, rel=1e-9, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_the_order_of_equal_flows_changes_nothing(case: Case) -> None:
    _, flows = run_fabric(case)
    _, turned = run_fabric(replace(case, jobs=case.jobs[::-1]))
    assert_same([flow.finished_s for flow in turned[::-1]], [flow.finished_s for flow in flows])


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_the_same_case_gives_the_same_floats(case: Case) -> None:
    first, second = run_fabric(case), run_fabric(case)
    for one, other in zip(first[1], second[1], strict=True):
        assert repr(one.finished_s) == repr(other.finished_s)
        assert one.held_by() == other.held_by()
    assert (first[0].solves, first[0].flows_touched) == (second[0].solves, second[0].flows_touched)
