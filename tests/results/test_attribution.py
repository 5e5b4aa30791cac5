"""Walking back along the causes."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthetic_result
from clustersim.engine.trace import COMPUTE, HOST, QUEUEING, Activity, link_resource
from clustersim.errors import InputError
from clustersim.results import by_class, critical_path, seconds_by_resource, shares

RESOURCES = (COMPUTE, HOST, link_resource("a>b"), link_resource("b>c"))


@st.composite
def chains(draw: st.DrawFn) -> list[Activity]:
    """Activities in order of their ends; each may name an earlier one that ended before it started."""
    rows: list[Activity] = []
    for _ in range(draw(st.integers(1, 25))):
        cause = draw(st.integers(-1, len(rows) - 1))
        after_s = rows[cause].end_s if cause >= 0 else 0.0
        start_s = after_s + draw(st.floats(0.0, 2.0))
        split = {
            name: draw(st.floats(0.0, 3.0)) for name in draw(st.sets(st.sampled_from(RESOURCES), min_size=1))
        }
        end_s = start_s + math.fsum(split.values())
        rows.append(Activity("compute", "job/compute", "work", start_s, end_s, cause, split))
    return rows


@given(chains(), st.floats(0.0, 5.0))
def test_segments_of_a_path_touch_and_cover_it_from_since_to_the_end(
    rows: list[Activity], since_s: float
) -> None:
    path = critical_path(rows, len(rows) - 1, since_s=since_s)
    for before, after in pairwise(path):
        assert before.end_s == after.start_s
    assert bool(path) == (rows[-1].end_s > since_s)
    if path:
        assert (path[0].start_s, path[-1].end_s) == (since_s, rows[-1].end_s)


@given(chains(), st.floats(0.0, 5.0))
def test_shares_of_any_path_add_up_to_one(rows: list[Activity], since_s: float) -> None:
    path = critical_path(rows, len(rows) - 1, since_s=since_s)
    split = shares(path)
    assert not path or math.fsum(split.values()) == pytest.approx(1.0, abs=1e-9)
    assert all(share >= 0.0 for share in split.values())
    assert math.fsum(by_class(split).values()) == pytest.approx(math.fsum(split.values()), abs=1e-9)


@given(chains())
def test_seconds_by_resource_add_up_to_the_length_of_the_path(rows: list[Activity]) -> None:
    path = critical_path(rows, len(rows) - 1, since_s=0.0)
    assert math.fsum(seconds_by_resource(path).values()) == pytest.approx(rows[-1].end_s, abs=1e-9)


def test_a_gap_between_cause_and_start_is_queueing() -> None:
    rows = [
        Activity("compute", "a/compute", "first", 0.0, 1.0, -1, {COMPUTE: 1.0}),
        Activity("compute", "a/compute", "second", 1.5, 2.0, 0, {HOST: 0.5}),
    ]
    assert seconds_by_resource(critical_path(rows, 1)) == {COMPUTE: 1.0, HOST: 0.5, QUEUEING: 0.5}


def test_an_activity_that_overlaps_the_window_is_cut_in_proportion() -> None:
    rows = [Activity("compute", "a/compute", "long", 0.0, 4.0, -1, {COMPUTE: 3.0, HOST: 1.0})]
    path = critical_path(rows, 0, since_s=1.0, until_s=3.0)
    assert seconds_by_resource(path) == pytest.approx({COMPUTE: 1.5, HOST: 0.5})


def test_seconds_that_an_activity_does_not_explain_count_as_queueing() -> None:
    rows = [Activity("transfer", "a/comm", "stalled", 0.0, 2.0, -1, {link_resource("a>b"): 0.5})]
    assert seconds_by_resource(critical_path(rows, 0)) == {QUEUEING: 1.5, link_resource("a>b"): 0.5}


def test_a_cause_that_names_itself_does_not_hang() -> None:
    rows = [Activity("compute", "a/compute", "loop", 0.0, 1.0, 0, {COMPUTE: 1.0})]
    assert len(critical_path(rows, 0)) == 1


def test_classes_add_up_the_links() -> None:
    split = {link_resource("a>b"): 0.25, link_resource("b>c"): 0.25, COMPUTE: 0.5}
    assert by_class(split) == {COMPUTE: 0.5, "network_bandwidth": 0.5}


def test_a_row_outside_the_trace_is_refused() -> None:
    with pytest.raises(InputError, match="row 3 is not in the trace, which has 0 rows"):
        critical_path([], 3)


def test_the_path_of_an_iteration_covers_it_and_crosses_both_lanes() -> None:
    path = synthetic_result.result().critical_path("pretrain", iteration=2)
    assert (path[0].start_s, path[-1].end_s) == (1.0, 1.5)
    assert [segment.lane for segment in path] == [
        "pretrain/compute",
        "pretrain/compute",
        "pretrain/comm",
        "pretrain/compute",
    ]


def test_the_path_of_a_request_begins_with_its_time_in_the_queue() -> None:
    path = synthetic_result.result().critical_path("chat", request=2)
    assert [(segment.kind, round(segment.duration_s, 9)) for segment in path] == [
        ("queue", 0.25),
        ("compute", 0.2),
        ("compute", 0.2),
    ]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"iteration": 9}, "'pretrain' has no iteration 9; it has 0 to 3"),
        ({"request": 1}, "'pretrain' is a workload of kind training and has no requests"),
        ({}, "give either 'iteration' or 'request'"),
        ({"iteration": 1, "request": 1}, "give either 'iteration' or 'request'"),
    ],
)
def test_what_has_no_path_is_refused_with_the_reason(wanted: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        synthetic_result.result().critical_path("pretrain", **wanted)


def test_without_a_trace_the_message_says_how_to_get_one() -> None:
    with pytest.raises(InputError, match="in the scenario"):
        synthetic_result.result(trace=()).critical_path("pretrain", iteration=0)


def test_an_unfinished_request_has_no_path() -> None:
    made = synthetic_result.result()
    outcome = made.outcome("chat")
    finish_s = outcome.tables["requests"]["finish_s"].copy()
    finish_s[1] = math.nan
    requests = {**outcome.tables["requests"], "finish_s": finish_s}
    changed = replace(outcome, tables={**outcome.tables, "requests": requests})
    partial = synthetic_result.result(outcomes={"chat": changed})
    with pytest.raises(InputError, match="request 1 of 'chat' had not finished"):
        partial.critical_path("chat", request=1)
