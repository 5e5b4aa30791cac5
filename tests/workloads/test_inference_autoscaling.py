"""Replicas that come and go with the load."""

from __future__ import annotations

import numpy as np
import pytest
from inference_fleets import SPLIT, events_of, placed, requests_of, run_service, service_spec, star

from clustersim.errors import CannotRunError, InputError

SCALING = {"min": 1, "max": 4, "metric": "outstanding", "target": 8.0, "interval": "2 s", "cooldown": "10 s"}
STARTUP = {"engine": "3 s"}
BURST = {
    "arrivals": {"kind": "poisson", "rate": "8 req/s"},
    "lengths": {"prompt": 400, "output": 150},
    "requests": 300,
    "startup": STARTUP,
}
"""About four times what one replica of eight outstanding requests is to have."""


def replicas_over_time(workload):
    """Ready replicas after each event of the fleet."""
    ready, found = 0, []
    for _, kind, _ in events_of(workload):
        ready += {"ready": 1, "drain": -1, "fail": -1}.get(kind, 0)
        found.append(ready)
    return found


@pytest.mark.parametrize(
    ("metric", "target"), [("outstanding", 8.0), ("queue", 0.5), ("utilization", 0.5), ("kv", 0.02)]
)
def test_a_burst_brings_replicas_up_to_the_most_and_none_is_lost(metric, target):
    outcome, workload, world = run_service(
        **BURST,
        scheduler={"max_batch": 8},
        autoscaling=SCALING | {"metric": metric, "target": target},
    )
    assert outcome.metrics["requests_finished"] == 300
    assert max(replicas_over_time(workload)) == 4
    assert {request.replica for request in requests_of(workload)} == {0, 1, 2, 3}
    assert all(gpu.memory.free_bytes == pytest.approx(gpu.memory.capacity) for gpu in world.gpus.values())


def test_more_replicas_answer_sooner_than_one_that_stays_alone():
    scaled, _, _ = run_service(**BURST, autoscaling=SCALING, scheduler={"max_batch": 8})
    alone, _, _ = run_service(**BURST, scheduler={"max_batch": 8})
    assert scaled.metrics["e2e_s.mean"] < 0.5 * alone.metrics["e2e_s.mean"]


def test_a_cold_start_takes_the_engine_and_then_the_weights_over_the_links():
    _, workload, world = run_service(**BURST, autoscaling=SCALING)
    starts = events_of(workload, "start")
    weights = workload.outcome().facts["weight_bytes_per_gpu"]
    path = world.topology.path("node0/host", "node0/gpu1")
    rate = min(world.topology.link_bandwidth_bytes_per_s[link] for link in path.links)
    alone_s = 3.0 + path.latency_s + world.topology.message_overhead_s(path.links) + weights / rate
    first_s, _, first = starts[0]
    ready_s = min(at_s for at_s, _, number in events_of(workload, "ready") if number == first)
    assert ready_s - first_s == pytest.approx(alone_s, rel=1e-9)
    rows = [row for row in world.trace.rows if row.label == "load weights"]
    assert len(rows) == len(starts)


def test_weights_from_a_server_across_the_network_load_its_links_and_take_longer():
    from_host, _, _ = run_service(**BURST, autoscaling=SCALING)
    startup = STARTUP | {"weights_from": "node1/host"}
    far, workload, world = run_service(**(BURST | {"startup": startup}), autoscaling=SCALING)
    starts = len(events_of(workload, "start"))
    usage = world.fabric.usage(world.env.now)
    entering = [
        link for link, name in enumerate(world.topology.link_names) if name.startswith("switch0>node0/")
    ]
    assert sum(usage.bytes[link] for link in entering) == pytest.approx(
        starts * far.facts["weight_bytes_per_gpu"], rel=1e-9
    )
    assert far.metrics["e2e_s.mean"] > from_host.metrics["e2e_s.mean"]


def test_a_drive_that_gives_little_holds_the_start_back():
    _, workload, _ = run_service(
        **(BURST | {"startup": STARTUP | {"bandwidth": "2 GB/s"}}), autoscaling=SCALING
    )
    started = {number: at_s for at_s, _, number in events_of(workload, "start")}
    ready = {number: at_s for at_s, _, number in events_of(workload, "ready") if number in started}
    weights = workload.outcome().facts["weight_bytes_per_gpu"]
    for number, at_s in ready.items():
        assert at_s - started[number] == pytest.approx(3.0 + weights / 2e9, rel=1e-3)


LULL = BURST | {"arrivals": {"kind": "trace", "path": "lull.csv"}, "lengths": None, "requests": None}


@pytest.fixture
def lull(tmp_path, monkeypatch):
    """Sixty requests at once, then one every two seconds for a minute."""
    rows = [f"{0.05 * n},400,100" for n in range(60)] + [f"{5 + 2 * n},100,20" for n in range(30)]
    (tmp_path / "lull.csv").write_text("\n".join(["arrived_at,prompt,output", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("lull")
def test_replicas_go_after_the_cooldown_and_finish_what_they_have():
    outcome, workload, _ = run_service(**LULL, autoscaling=SCALING)
    assert outcome.metrics["requests_finished"] == 90
    drained = events_of(workload, "drain")
    assert drained
    counts = replicas_over_time(workload)
    assert counts[-1] == 1
    assert all(1 <= count <= 4 for count in counts)
    last_start_s = max(at_s for at_s, _, _ in events_of(workload, "start"))
    assert min(at_s for at_s, _, _ in drained) >= last_start_s + 10.0 - 2.0
    for at_s, _, number in drained:
        stopped_s = min(
            time_s for time_s, _, who in events_of(workload, "stop") if who == number and time_s >= at_s
        )
        late = [r for r in requests_of(workload) if r.replica == number and at_s < r.arrival_s < stopped_s]
        assert not late
        assert all(
            r.finish_s <= stopped_s
            for r in requests_of(workload)
            if r.replica == number and r.arrival_s < at_s
        )


@pytest.mark.usefixtures("lull")
def test_gpus_are_paid_for_from_start_to_stop():
    _, workload, world = run_service(**LULL, autoscaling=SCALING)
    end_s = world.env.now
    spans = dict.fromkeys(range(4), 0.0)
    began = {}
    for at_s, kind, number in events_of(workload, "start", "ready", "stop"):
        if kind == "stop":
            spans[number] += at_s - began.pop(number)
        else:
            began.setdefault(number, at_s)
    expected = sum(spans.values()) + sum(end_s - at_s for at_s in began.values())
    assert workload._fleet.gpu_seconds() == pytest.approx(expected, rel=1e-9)
    assert expected < 3.0 * end_s


@pytest.mark.parametrize("metric", ["outstanding", "kv", "queue", "utilization"])
@pytest.mark.usefixtures("lull")
def test_skipping_ahead_changes_neither_answers_nor_what_the_autoscaler_does(metric):
    target = {"outstanding": 8.0, "kv": 0.05, "queue": 0.5, "utilization": 0.5}[metric]
    fields = LULL | {"autoscaling": SCALING | {"metric": metric, "target": target}}
    (skipping, fast, _), (stepping, slow, _) = (
        run_service(**fields, skip_ahead=skip) for skip in (True, False)
    )
    assert len(skipping.tables["steps"]["steps"]) < len(stepping.tables["steps"]["steps"])
    assert [event[1:] for event in events_of(fast)] == [event[1:] for event in events_of(slow)]
    np.testing.assert_allclose(
        skipping.tables["requests"]["finish_s"], stepping.tables["requests"]["finish_s"], rtol=1e-9
    )


def test_both_pools_of_a_split_service_scale_on_their_own():
    scaling = SCALING | {"max": 2, "target": 4.0}
    pools = {name: SPLIT[name] | {"replicas": 1, "autoscaling": scaling} for name in SPLIT}
    outcome, workload, _ = run_service(**BURST, disaggregation=pools)
    assert outcome.metrics["requests_finished"] == 300
    assert outcome.facts["gpus"] == 4
    assert {number for _, _, number in events_of(workload, "start")} & {2, 3}
    assert all(request.handover is not None for request in requests_of(workload))


def test_replicas_to_come_have_gpus_of_their_own():
    spec = service_spec(autoscaling=SCALING | {"max": 9})
    with pytest.raises(CannotRunError, match="9 GPUs are asked for"):
        placed(star(), spec)


def test_a_source_of_weights_that_is_not_there_is_refused_before_the_run():
    spec = service_spec(autoscaling=SCALING, startup={"weights_from": "storage0"})
    with pytest.raises(InputError, match="no vertex 'storage0'") as caught:
        placed(star(), spec)
    assert caught.value.problems[0].path == ("startup", "weights_from")


def test_looking_at_the_load_does_not_keep_a_run_going_in_which_nothing_moves():
    def break_it(world):
        for link, (source, target) in enumerate(world.topology.link_ends):
            if "switch0" in (source, target):
                world.env.timeout(2.0).callbacks.append(lambda _, link=link: world.change_link(link, 0.0))

    scaling = SCALING | {"max": 2, "target": 4.0}
    pools = {name: SPLIT[name] | {"replicas": 1, "autoscaling": scaling} for name in SPLIT}
    with pytest.raises(RuntimeError, match="No scheduled events left"):
        run_service(**BURST, disaggregation=pools, prepare=break_it)
