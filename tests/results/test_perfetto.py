"""The trace for ui.perfetto.dev."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import synthetic_result
from clustersim.engine.trace import Activity
from clustersim.results.perfetto import events


def _named(found: list[dict], kind: str) -> dict[int, str]:  # type: ignore[type-arg]
    return {
        event["tid" if kind == "thread_name" else "pid"]: event["args"]["name"]
        for event in found
        if event["ph"] == "M" and event["name"] == kind
    }


def test_the_file_is_json_in_the_trace_event_format(tmp_path: Path) -> None:
    path = synthetic_result.result().to_perfetto(tmp_path / "trace.json")
    loaded = json.loads(path.read_text())
    assert loaded["otherData"]["scenario"] == "synthetic"
    for event in loaded["traceEvents"]:
        assert event["ph"] in "MXC"
        assert isinstance(event["pid"], int)
        if event["ph"] == "X":
            assert event["dur"] >= 0
            assert event["ts"] >= 0


def test_each_workload_is_a_process_and_each_stream_a_thread() -> None:
    found = list(events(synthetic_result.result()))
    assert set(_named(found, "process_name").values()) == {"pretrain", "chat", "fabric"}
    assert sorted(_named(found, "thread_name").values()) == ["comm", "compute", "replica 0 engine"]


def test_every_activity_is_one_event_in_microseconds_on_its_lane() -> None:
    made = synthetic_result.result()
    found = list(events(made))
    complete = [event for event in found if event["ph"] == "X"]
    threads = _named(found, "thread_name")
    assert len(complete) == len(made.trace)
    for event, activity in zip(complete, made.trace, strict=True):
        assert event["ts"] == pytest.approx(1e6 * activity.start_s)
        assert event["dur"] == pytest.approx(1e6 * (activity.end_s - activity.start_s))
        assert activity.lane.endswith(threads[event["tid"]].removeprefix("replica 0 "))
        assert event["args"]["cause"] == activity.cause


def test_stages_and_replicas_of_a_job_are_threads_of_its_process() -> None:
    lanes = ["pretrain/replica0/stage1/compute", "pretrain/replica0/stage1/sends to stage 2", "pretrain/norm"]
    rows = [Activity("compute", lane, "forward 1", 0.0, 1.0, -1, {}) for lane in lanes]
    found = list(events(synthetic_result.result(trace=rows)))
    assert list(_named(found, "thread_name").values()) == [lane.partition("/")[2] for lane in lanes]
    processes = {event["pid"] for event in found if event["ph"] == "X"}
    assert [_named(found, "process_name")[process] for process in processes] == ["pretrain"]


def test_activities_that_overlap_on_one_lane_get_threads_of_their_own() -> None:
    rows = [
        Activity("transfer", "transfers", "a", 0.0, 2.0, -1, {}),
        Activity("transfer", "transfers", "b", 1.0, 3.0, -1, {}),
        Activity("transfer", "transfers", "c", 2.0, 4.0, -1, {}),
    ]
    complete = [event for event in events(synthetic_result.result(trace=rows)) if event["ph"] == "X"]
    assert complete[0]["tid"] == complete[2]["tid"] != complete[1]["tid"]


def test_counters_follow_the_links_and_the_kv_cache() -> None:
    counters = [event for event in events(synthetic_result.result()) if event["ph"] == "C"]
    uplink = [event for event in counters if event["name"] == synthetic_result.UPLINK]
    assert [(event["ts"], event["args"]["utilization"]) for event in uplink] == [
        (0.0, 0.5),
        (5e5, 1.0),
        (1.5e6, 0.5),
        (2e6, 0.0),
    ]
    assert {event["args"]["used"] for event in counters if event["name"] == "replica 0 KV cache"} == {
        0.25,
        0.5,
    }


def test_rates_of_flows_are_counters_of_their_workload_that_fall_to_zero_in_a_pause() -> None:
    found = list(events(synthetic_result.result(flows=synthetic_result.rates())))
    processes = _named(found, "process_name")
    rates = [event for event in found if event["name"].startswith("rate ")]
    assert {processes[event["pid"]] for event in rates} == {"pretrain"}
    assert [(event["ts"], event["args"]["bytes_per_s"]) for event in rates] == [
        (0.25e6, 1e9),
        (0.5e6, 0.5e9),
        (1e6, 0.0),
        (1.5e6, 1e9),
        (2e6, 0.0),
    ]


def test_the_same_result_gives_the_same_compressed_file(tmp_path: Path) -> None:
    made = synthetic_result.result()
    one, two = (made.to_perfetto(tmp_path / f"{name}.json.gz").read_bytes() for name in "ab")
    assert one == two
    json.loads(gzip.decompress(one))
