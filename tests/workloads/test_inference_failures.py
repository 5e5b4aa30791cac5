"""Replicas that fail: every request is answered or given up, once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fleets import SPLIT, events_of, placed, requests_of, run_service, service_spec, star

from clustersim.engine.world import World
from clustersim.errors import InputError

BUSY = {
    "arrivals": {"kind": "poisson", "rate": "10 req/s"},
    "lengths": {"prompt": 600, "output": 60},
    "startup": {"engine": "1 s"},
    "requests": 80,
}


def at(*failures, repair="2 s", **fields):
    """Failures at (seconds, replica)."""
    listed = [{"at": f"{seconds} s", "replica": replica} for seconds, replica in failures]
    return {"failures": {"at": listed, "repair": repair} | fields}


def count_finishes(workload):
    """Have the service count how often each request was said to be done."""
    done = Counter()
    original = workload._request_done

    def count(request):
        done[request.index] += 1
        original(request)

    workload._request_done = count
    return done


def test_requests_of_a_failed_replica_are_answered_by_others():
    outcome, workload, world = run_service(**BUSY, replicas=3, **at((3.0, 1)))
    assert outcome.metrics["requests_finished"] == 80
    again = [request for request in requests_of(workload) if request.attempts]
    assert again
    assert workload._fleet.log.retries == sum(request.attempts for request in again) == len(again)
    for request in again:
        assert request.replica != 1
        assert request.arrival_s < 3.0 < request.admitted_s < request.first_token_s
    assert not [r for r in requests_of(workload) if r.replica == 1 and 3.0 < r.arrival_s < 6.0]
    assert all(gpu.memory.free_bytes == pytest.approx(gpu.memory.capacity) for gpu in world.gpus.values())


def test_a_failed_replica_is_repaired_starts_and_serves_again():
    _, workload, world = run_service(**(BUSY | {"requests": 120}), replicas=2, **at((3.0, 1), repair="2 s"))
    (failed,), (recovered,) = events_of(workload, "fail"), events_of(workload, "recover")
    ready_s = max(at_s for at_s, _, number in events_of(workload, "ready") if number == 1)
    assert failed == (3.0, "fail", 1)
    assert recovered == (5.0, "recover", 1)
    weights = workload.outcome().facts["weight_bytes_per_gpu"]
    path = world.topology.path("node0/host", "node0/gpu1")
    rate = min(world.topology.link_bandwidth_bytes_per_s[link] for link in path.links)
    assert ready_s - 5.0 == pytest.approx(1.0 + weights / rate, rel=1e-3)
    assert any(request.replica == 1 and request.arrival_s > ready_s for request in requests_of(workload))


def test_with_nobody_left_requests_wait_for_the_repair():
    outcome, workload, _ = run_service(**BUSY, replicas=1, **at((3.0, 0)))
    assert outcome.metrics["requests_finished"] == 80
    ready_s = max(at_s for at_s, _, _ in events_of(workload, "ready"))
    assert min(r.admitted_s for r in requests_of(workload) if r.arrival_s > 3.0) >= ready_s


def test_a_request_that_was_sent_too_often_is_given_up_and_counted():
    failures = at((1.0, 0), (1.5, 1), (2.0, 2), repair="60 s", max_attempts=1)
    outcome, workload, _ = run_service(**BUSY, replicas=4, **failures)
    lost = [request for request in requests_of(workload) if not request.finished]
    assert lost
    assert workload._fleet.log.lost == len(lost)
    assert outcome.complete
    assert outcome.metrics["requests_finished"] == 80 - len(lost)
    assert all(request.attempts == 1 for request in lost)


def test_clients_whose_request_was_given_up_send_the_next_one():
    closed = {"arrivals": {"kind": "closed-loop", "clients": 4}, "requests": 40}
    outcome, _, _ = run_service(**(BUSY | closed), replicas=2, **at((1.0, 0), repair="30 s", max_attempts=1))
    assert outcome.complete
    assert outcome.metrics["requests_sent"] == 40


def test_failures_by_chance_come_at_the_mean_time_given_and_repeat_with_the_seed():
    fields = BUSY | {"requests": 400, "startup": {"engine": "0 s"}}
    failures = {"failures": {"mtbf": "8 s", "repair": "100 ms"}}
    runs = [run_service(**fields, replicas=4, **failures)[1] for _ in range(2)]
    events = [events_of(workload, "fail") for workload in runs]
    assert events[0] == events[1]
    end_s = max(request.finish_s for request in requests_of(runs[0]))
    assert len(events[0]) == pytest.approx(4 * end_s / 8.0, rel=0.5)
    assert len({number for _, _, number in events[0]}) > 1


def test_other_numbers_of_replicas_meet_the_same_first_failures():
    failures = {"failures": {"mtbf": "6 s", "repair": "1 s"}}
    first = []
    for replicas in (2, 3):
        _, workload, _ = run_service(**BUSY, replicas=replicas, **failures)
        first.append(min(at_s for at_s, _, number in events_of(workload, "fail") if number == 0))
    assert first[0] == first[1]


def test_a_dead_link_between_its_gpus_takes_a_replica_down_until_it_is_back():
    topology = star()
    link = topology.link_names.index("node0/nic0>switch0")

    def break_it(world):
        full = world.fabric.capacity_bytes_per_s(link)
        for at_s, rate in ((4.0, 0.0), (7.0, full)):
            world.env.timeout(at_s).callbacks.append(lambda _, rate=rate: world.change_link(link, rate))

    across = {"replicas": 1, "parallelism": {"tensor": 8}, "lengths": {"prompt": 300, "output": 20}}
    outcome, workload, _ = run_service(
        topology,
        **(BUSY | across),
        failures={"repair": "1 s"},
        links_change=True,
        prepare=break_it,
    )
    assert outcome.metrics["requests_finished"] == 80
    assert events_of(workload, "fail", "recover") == [(4.0, "fail", 0), (7.0, "recover", 0)]


def test_a_replica_in_repair_whose_link_comes_back_still_waits_for_the_repair():
    topology = star()
    link = topology.link_names.index("node0/nic0>switch0")

    def break_it(world):
        full = world.fabric.capacity_bytes_per_s(link)
        for at_s, rate in ((4.0, 0.0), (5.0, full)):
            world.env.timeout(at_s).callbacks.append(lambda _, rate=rate: world.change_link(link, rate))

    across = {"replicas": 1, "parallelism": {"tensor": 8}, "lengths": {"prompt": 300, "output": 20}}
    outcome, workload, _ = run_service(
        topology, **(BUSY | across), **at((3.0, 0), repair="4 s"), links_change=True, prepare=break_it
    )
    assert outcome.metrics["requests_finished"] == 80
    assert events_of(workload, "fail", "recover") == [(3.0, "fail", 0), (7.0, "recover", 0)]


@pytest.mark.parametrize("transfer", ["whole", "layer-wise"])
@pytest.mark.parametrize("victim", [0, 2])
def test_kv_on_its_way_survives_the_side_that_does_not_have_it(transfer, victim):
    """A decode replica that fails costs no prompt; a prefill replica only those that had not left it."""
    slow = star(bandwidth="5 Gbit/s")
    pools = SPLIT | {"transfer": transfer, "decode": SPLIT["decode"] | {"replicas": 2}}
    outcome, workload, _ = run_service(slow, **BUSY, disaggregation=pools, **at((3.0, victim)))
    assert outcome.metrics["requests_finished"] == 80
    requests = requests_of(workload)
    hit = [request for request in requests if request.attempts]
    assert hit
    assert all(request.generated == 60 for request in requests)
    if victim == 2:
        kept = [r for r in hit if r.first_token_s < 3.0]
        assert kept
        assert all(r.replica == 3 and r.handover is not None for r in kept)
    else:
        there = [r for r in hit if r.handover is None]
        assert all(r.replica in (2, 3) for r in there)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_whatever_fails_whenever_each_request_is_answered_or_given_up_exactly_once(data):
    shape = data.draw(st.sampled_from(["together", "whole", "layer-wise", "scaled"]))
    talk = data.draw(st.booleans())
    fields = BUSY | {"requests": 30, "arrivals": {"kind": "poisson", "rate": "15 req/s"}}
    fields |= {"scheduler": data.draw(st.sampled_from(SCHEDULERS))}
    if talk:
        fields |= {"arrivals": CONVERSATIONS, "kv_cache": {"prefix_caching": True}, "routing": "prefix-aware"}
    if shape == "together":
        fields |= {"replicas": 3}
    elif shape == "scaled":
        scaling = {"min": 1, "max": 3, "target": 4.0, "interval": "500 ms", "cooldown": "1 s"}
        fields |= {"replicas": 2, "autoscaling": scaling}
    else:
        fields |= {"disaggregation": SPLIT | {"transfer": shape}}
    times = st.tuples(st.floats(0.0, 6.0), st.integers(0, 2))
    failures = data.draw(st.lists(times, min_size=1, max_size=6))
    most = data.draw(st.sampled_from([None, 1, 2]))
    listed = [{"at": f"{1e6 * seconds:.0f} us", "replica": replica} for seconds, replica in failures]
    (workload,) = placed(
        SLOW, service_spec(**fields, failures={"at": listed, "repair": "300 ms", "max_attempts": most})
    )
    done = count_finishes(workload)
    outcome = finish(workload)
    assert outcome.complete
    assert done == dict.fromkeys(range(30), 1)
    requests = requests_of(workload)
    lost = [request for request in requests if not request.finished]
    assert len(lost) == workload._fleet.log.lost
    assert most is not None or not lost
    for request in requests:
        if request.finished:
            assert request.generated == request.output
            assert request.arrival_s <= request.admitted_s < request.first_token_s <= request.finish_s
    for pool in workload._fleet.pools:
        assert pool.board.requests == [0] * len(pool.members)
        assert pool.board.work == [0] * len(pool.members)
        assert all(member.engine.scheduler.empty for member in pool.members)
        assert all(member.engine.scheduler.cache.used_blocks == 0 for member in pool.members)


SCHEDULERS = [
    {},
    {"policy": "vllm-v1", "max_batched_tokens": 200},
    {"policy": "sarathi", "max_batched_tokens": 256},
    {"policy": "static"},
]
CONVERSATIONS = {
    "kind": "sessions",
    "starts": {"kind": "poisson", "rate": "10 req/s"},
    "turns": 3,
    "think_time": "300 ms",
}
SLOW = star(bandwidth="10 Gbit/s")


def finish(workload):
    world = World(SLOW, seed=2)
    world.env.run(until=workload.start(world))
    world.env.run(until=world.env.now + 100.0)
    return workload.outcome()


def test_failures_of_replicas_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="there is no replica 2; the service has 2") as caught:
        placed(star(), service_spec(replicas=2, **at((1.0, 1), (2.0, 2))))
    assert caught.value.problems[0].path == ("failures", "at", 1, "replica")


def test_skipping_ahead_changes_nothing_about_failures():
    (fast, _, _), (slow, _, _) = (
        run_service(**BUSY, replicas=2, **at((2.0, 0), (5.0, 1)), skip_ahead=skip) for skip in (True, False)
    )
    np.testing.assert_allclose(
        fast.tables["requests"]["finish_s"], slow.tables["requests"]["finish_s"], rtol=1e-9
    )
