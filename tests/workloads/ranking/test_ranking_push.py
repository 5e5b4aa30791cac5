"""Model pushes: what they bring, one replica after the other, and what queries notice."""

from __future__ import annotations

import numpy as np
import pytest
from ranking_pools import ranking_scenario

import clustersim as cs
from clustersim.errors import CannotRunError, InputError

SERVICE = {
    "nodes": 2,
    "replicas": 4,
    "routing": "least-outstanding",
    "arrivals": {"kind": "poisson", "rate": "2000 qps"},
    "queries": 3000,
}
PUSH = {"every": "10 s", "first": "200 ms", "rows": 0.2}


def outcome(push=None, **fields):
    given = SERVICE | fields | ({"push": PUSH | push} if push is not None else {})
    return cs.run(ranking_scenario(**given)).outcome("feed")


@pytest.fixture(scope="module")
def in_place():
    return outcome(push={})


def test_a_push_brings_its_share_of_the_rows_and_all_layers_to_each_replica(in_place):
    facts = in_place.facts
    one = 0.2 * facts["table_bytes_per_gpu"] + facts["layer_bytes_per_gpu"]
    assert in_place.metrics["push_bytes"] == pytest.approx(4 * one)
    np.testing.assert_allclose(in_place.tables["pushes"]["size_bytes"], one)


def test_every_byte_of_a_push_leaves_the_store_over_its_adapter():
    result = cs.run(ranking_scenario(**SERVICE, push=PUSH))
    fabric = result.fabric
    left = sum(
        carried
        for name, carried in zip(fabric.names, fabric.carried_bytes.tolist(), strict=True)
        if name.startswith("node1/nic") and not name.partition(">")[2].startswith("node1")
    )
    moved = result.outcome("feed").metrics["push_bytes"]
    assert left == pytest.approx(moved, rel=1e-6)


def test_replicas_get_their_weights_one_after_the_other(in_place):
    table = in_place.tables["pushes"]
    assert list(table["replica"]) == [0, 1, 2, 3]
    assert (table["start_s"][1:] >= table["end_s"][:-1]).all()


def test_all_at_once_share_the_adapter_of_the_store_and_take_as_long_together():
    rolling, together = outcome(push={}), outcome(push={"at_once": 4})
    assert len(set(together.tables["pushes"]["start_s"])) == 1
    assert together.metrics["push_replica_s"] > 2.0 * rolling.metrics["push_replica_s"]


def test_a_second_copy_needs_room_and_is_counted():
    plain, double = outcome(), outcome(push={"memory": "double-buffered"})
    more = double.metrics["memory_bytes"] - plain.metrics["memory_bytes"]
    assert more == pytest.approx(double.metrics["push_bytes"] / 4)
    with pytest.raises(CannotRunError, match="second copy"):
        outcome(model="dlrm-nvidia-22b", gpus_per_replica=2, push={"memory": "double-buffered", "rows": 1.0})


def test_queries_are_slower_during_a_push_in_place_and_as_before_between(in_place):
    plain, metrics = outcome(), in_place.metrics
    assert metrics["push_latency_s.during.p99"] > metrics["push_latency_s.between.p99"]
    assert metrics["push_latency_s.between.p50"] == pytest.approx(plain.metrics["latency_s.p50"], rel=0.02)
    assert in_place.complete


def test_a_long_switch_holds_up_queries_and_a_short_one_does_not():
    double = {"memory": "double-buffered"}
    short, long = (
        outcome(push=double | {"switch": switch}, routing="round-robin") for switch in ("0 s", "50 ms")
    )
    assert long.metrics["push_latency_s.during.p99"] > short.metrics["push_latency_s.during.p99"] + 10e-3


def test_a_drained_replica_gets_no_query_while_it_is_updated():
    found = outcome(push={"drain": True})
    queries = found.tables["queries"]
    for replica, start_s, end_s in zip(
        *(found.tables["pushes"][name] for name in ("replica", "start_s", "end_s")), strict=True
    ):
        meanwhile = (queries["submitted_s"] > start_s) & (queries["submitted_s"] < end_s)
        assert meanwhile.sum() > 10
        assert not (queries["replica"][meanwhile] == replica).any()


def test_a_lone_replica_is_not_drained():
    assert outcome(replicas=1, push={"drain": True}, queries=800).complete


def test_pushes_repeat_until_the_service_is_over_or_their_number_is_reached():
    often = outcome(push={"every": "300 ms", "rows": 0.01})
    once = outcome(push={"every": "300 ms", "rows": 0.01, "pushes": 1})
    assert often.metrics["pushes"] == pytest.approx(1.5 / 0.3, abs=1.1)
    assert once.metrics["pushes"] == 1.0


def test_a_delta_takes_its_part_of_the_time_of_a_full_push():
    delta, full = (outcome(push={"rows": rows, "memory": "double-buffered"}) for rows in (0.1, 0.4))
    assert full.metrics["push_s"] / delta.metrics["push_s"] == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize(
    ("push", "words"),
    [
        ({"source": 7}, "push.source.*0 to 1"),
        ({"every": "0 s"}, "push.every"),
        ({"rows": 0.0}, "push.rows"),
    ],
)
def test_pushes_that_make_no_sense_are_refused_with_their_place(push, words):
    with pytest.raises(InputError, match=words):
        outcome(push=push)
