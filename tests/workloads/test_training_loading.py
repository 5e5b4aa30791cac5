"""Samples from storage: when they are late, by how much, and where it shows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_jobs import cluster, job, run

from clustersim.engine.trace import HOST, STORAGE
from clustersim.workloads.training.techniques.loading import Feed, Loading

TOPOLOGY = cluster(nodes=2)


def fed(**fields):
    loading = {"sample": "1 MB"} | fields.pop("data_loading", {})
    return job(**({"steps": 8, "data_loading": loading} | fields))


def late(spec) -> dict[str, float]:
    """Return the parts of the last iteration."""
    table = run(spec, TOPOLOGY)[0].outcome().tables["iterations"]
    return {name: float(values[-1]) for name, values in table.items()}


def usual_s() -> float:
    return late(job())["duration_s"]


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("field", ["node_bandwidth", "storage_bandwidth"])
def test_an_iteration_that_waits_for_storage_takes_what_reading_takes(field, accumulation):
    spec = fed(global_batch=64 * accumulation, data_loading={field: "32 MB/s"})
    readers = {"node_bandwidth": 4, "storage_bandwidth": 8}[field]
    read_s = 8 * 1e6 / (32e6 / readers)
    found = late(spec)
    assert found["duration_s"] == pytest.approx(accumulation * read_s, rel=1e-9)
    whole_s = found["compute_s"] + found["exposed_communication_s"] + found["host_s"]
    assert found["data_stall_s"] == pytest.approx(found["duration_s"] - whole_s, rel=1e-9)


def test_decoding_by_more_workers_is_faster_until_it_is_hidden():
    usual = usual_s()
    for workers in (1, 2, 4):
        found = late(fed(data_loading={"decode": "100 ms", "workers": workers}))
        assert found["duration_s"] == pytest.approx(max(usual, 0.8 / workers), rel=1e-9)
    many = late(fed(data_loading={"decode": "100 ms", "workers": 800}))
    assert many["data_stall_s"] == 0.0
    assert many["duration_s"] == pytest.approx(usual, rel=1e-9)


def test_reading_and_decoding_go_on_beside_each_other():
    spec = fed(data_loading={"node_bandwidth": "32 MB/s", "decode": "100 ms", "workers": 1})
    assert late(spec)["duration_s"] == pytest.approx(max(1.0, 0.8), rel=1e-9)


def test_the_critical_path_names_what_is_slow():
    slow = run(fed(data_loading={"node_bandwidth": "32 MB/s"}), TOPOLOGY)[0].outcome().attribution
    assert max(slow, key=slow.__getitem__) == STORAGE
    slow = run(fed(data_loading={"decode": "200 ms", "workers": 1}), TOPOLOGY)[0].outcome().attribution
    assert max(slow, key=slow.__getitem__) == HOST


def test_stages_after_the_first_wait_for_it_and_not_for_samples():
    spec = fed(parallelism={"pipeline": 2}, global_batch=64, data_loading={"node_bandwidth": "32 MB/s"})
    stages = run(spec, TOPOLOGY)[0].outcome().tables["stages"]
    assert stages["data_stall_s"][0] > 0.0
    assert stages["data_stall_s"][1] == 0.0
    assert stages["bubble_s"][1] > stages["data_stall_s"][0]


def test_folded_replicas_wait_as_long_as_those_simulated_one_by_one():
    spec = fed(data_loading={"storage_bandwidth": "50 MB/s"})
    folded, each = (late(spec.model_copy(update={"fold": fold})) for fold in ("always", "never"))
    assert folded["duration_s"] == pytest.approx(each["duration_s"], rel=1e-9)
    assert folded["data_stall_s"] == pytest.approx(each["data_stall_s"], rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    read_s=st.floats(0.01, 2.0),
    decode_s=st.floats(0.01, 2.0),
    prefetch=st.integers(1, 6),
    works=st.lists(st.floats(0.01, 2.0), min_size=1, max_size=30),
)
def test_a_feed_never_runs_ahead_of_its_buffers_nor_of_its_rate(read_s, decode_s, prefetch, works):
    feed = Feed(Loading(read_s=read_s, decode_s=decode_s, prefetch=prefetch), start_s=0.0)
    now, taken = 0.0, []
    for number, work in enumerate(works):
        there = feed.take(now)
        freed = taken[number - prefetch] if number >= prefetch else 0.0
        assert there >= freed + read_s + decode_s - 1e-9
        assert there >= read_s + decode_s + number * max(read_s, decode_s) - 1e-9
        assert (
            there == now
            or there
            <= read_s
            + decode_s
            + max(
                [
                    freed,
                    *(at + (number - place - 1) * max(read_s, decode_s) for place, at in enumerate(taken)),
                ]
            )
            + number * 1e-9
            + max(read_s, decode_s) * number
        )
        taken.append(there)
        now = there + work


def test_more_prefetch_evens_out_work_that_varies():
    def end_s(prefetch: int) -> float:
        feed = Feed(Loading(read_s=1.0, decode_s=0.0, prefetch=prefetch), start_s=0.0)
        now = 0.0
        for work in [0.0, 4.0] * 20:
            now = feed.take(now) + work
        return now

    ends = [end_s(prefetch) for prefetch in (1, 2, 4)]
    assert ends == sorted(ends, reverse=True)
    assert ends[0] > ends[1]
