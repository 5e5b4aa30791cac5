"""Tenants apart from each other by weight and priority, and nobody starved without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.engine.fabric import TrafficClass
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build

SCENARIO = Path(__file__).parents[2] / "scenarios" / "isolated-tenants.yaml"
GIGABYTE = 1e9


def world() -> cs.World:
    shape = {"kind": "star", "nodes": 3, "node": "t4-x1"}
    return cs.World(
        build(ClusterSpec.model_validate({"topology": shape, "fabric": {"link": "ethernet-100g"}}))
    )


def ends(*classes: TrafficClass) -> list[float]:
    """When transfers of these classes to one receiver end, in units of the time of one alone."""
    made = world()
    finished: dict[int, float] = {}

    def watch(n: int, traffic: TrafficClass) -> Any:
        yield made.transfer(f"node{n}/gpu0", "node2/gpu0", GIGABYTE, traffic=traffic)
        finished[n] = made.env.now

    for n, traffic in enumerate(classes):
        made.env.process(watch(n, traffic))
    made.env.run()
    alone_s = GIGABYTE / float(made.topology.link_bandwidth_bytes_per_s.min())
    return [finished[n] / alone_s for n in range(len(classes))]


def test_a_connection_of_weight_three_gets_three_quarters_beside_one_of_weight_one() -> None:
    assert ends(TrafficClass(weight=3.0), TrafficClass()) == pytest.approx([4 / 3, 2.0], rel=1e-3)


def test_a_lower_priority_gets_only_what_the_higher_leaves() -> None:
    assert ends(TrafficClass(priority=1), TrafficClass()) == pytest.approx([2.0, 1.0], rel=1e-3)


def short(**traffic: Any) -> cs.Scenario:
    """The shipped scenario for 20 seconds; `traffic` of the job in place of its own."""
    changes: dict[str, Any] = {f"workloads.{name}.duration": "20 s" for name in ("chat", "pretrain")}
    return cs.load(SCENARIO).with_(**changes, **{"workloads.pretrain.traffic": traffic})


def test_the_shipped_isolation_brings_the_tail_of_the_service_near_to_what_it_is_alone() -> None:
    shared = cs.run(short()).metrics()
    isolated = cs.run(short(priority=1)).metrics()
    alone = cs.run(short().with_(workloads=[short().workloads[0]])).metrics()
    tail = [metrics["chat"]["ttft_s.p99"] for metrics in (alone, isolated, shared)]
    assert tail[1] < 0.75 * tail[2]
    assert tail[1] < 1.1 * tail[0]
    assert isolated["pretrain"]["iteration_s.mean"] >= shared["pretrain"]["iteration_s.mean"]


def test_a_job_of_little_weight_slows_a_service_less() -> None:
    light, usual = (cs.run(short(**traffic)).metrics()["chat"] for traffic in ({"weight": 0.1}, {}))
    assert light["ttft_s.mean"] < 0.8 * usual["ttft_s.mean"]


def starving(until: str, *, priority: int) -> cs.Scenario:
    """Two jobs with long all-reduces fill the uplinks that a third one needs."""

    def job(name: str, nodes: list[int], **fields: Any) -> dict[str, Any]:
        return {
            "name": name,
            "kind": "training",
            "model": "bert-large",
            "gpus": 2,
            "placement": {"nodes": nodes},
            "micro_batch": 1,
            "steps": 3,
            **fields,
        }

    shape = {"kind": "leaf-spine", "nodes": 6, "node": "l4-x1", "nodes_per_leaf": 3, "oversubscription": 3}
    jobs = [job("first", [0, 3]), job("second", [1, 4])]
    last = job("third", [2, 5], start="30 s", traffic={"priority": priority})
    return cs.Scenario.from_dict(
        {
            "name": "starving",
            "cluster": {
                "topology": shape,
                "fabric": {"link": "ethernet-10g", "bandwidth": "0.01 Gbit/s"},
            },
            "workloads": [*jobs, last],
            "run": {"until": until},
        }
    )


def test_a_workload_that_never_gets_a_byte_ends_the_run_as_stalled_and_is_named() -> None:
    result = cs.run(starving("5 min", priority=1))
    assert result.ending == "stalled"
    assert "'third' waits for bytes since 3" in result.notes[0]
    assert "traffic of a higher priority fills leaf0>spine0" in result.notes[0]


def test_a_workload_that_shares_or_has_not_begun_is_not_called_starved() -> None:
    assert cs.run(starving("5 min", priority=0)).ending == "complete"
    assert cs.run(starving("20 s", priority=1)).ending == "complete"
