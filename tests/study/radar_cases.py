"""Scenarios for the tests of shares and speeds, and what they reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustersim.results import by_class
from clustersim.spec.scenario import Scenario
from clustersim.study.radar.elasticity import RESOURCES, with_speed
from clustersim.study.records import RunRecord, simulate

CHAT: Mapping[str, Any] = {
    "kind": "inference",
    "model": "llama-3.1-8b",
    "arrivals": {"kind": "closed-loop", "clients": 16},
    "lengths": {"prompt": 512, "output": 64},
    "requests": 64,
}
DENSE: Mapping[str, Any] = {
    "kind": "training",
    "model": "llama-2-7b",
    "gpus": 16,
    "micro_batch": 1,
    "global_batch": 32,
    "sequence": 2048,
    "steps": 2,
}
CLICKS: Mapping[str, Any] = {"kind": "ranking-training", "model": "dlrm-dcnv2-mlperf", "gpus": 16, "steps": 8}
FEED: Mapping[str, Any] = {
    "kind": "ranking-inference",
    "model": "dlrm-nvidia-4b",
    "precision": "fp16",
    "arrivals": {"kind": "closed-loop", "clients": 1},
    "candidates": {"kind": "quantiles"},
    "queries": 300,
}


def scenario(kind: Mapping[str, Any], *, nodes: int = 2, fabric: Any = None, **fields: Any) -> Scenario:
    """Return one workload on DGX H100s."""
    topology = {"kind": "rail-optimized" if nodes > 1 else "star", "nodes": nodes, "node": "dgx-h100"}
    cluster = {"topology": topology} | ({"fabric": fabric} if fabric else {})
    workload = {"name": "w", **kind, **fields}
    return Scenario.from_dict({"name": "x", "seed": 3, "cluster": cluster, "workloads": [workload]})


def record_of(wanted: Scenario) -> RunRecord:
    """Run a scenario."""
    record = simulate(wanted)
    assert not record.error, record.error
    return record


def time_of(record: RunRecord) -> float:
    """Return the time of a step, or the mean time of a request."""
    metrics = record.metrics["w"]
    names = ("iteration_s.mean", "e2e_s.mean", "latency_s.mean")
    return next(metrics[name] for name in names if name in metrics)


def shares_of(record: RunRecord) -> Mapping[str, float]:
    """Return the shares of the workload by class of resource."""
    return by_class(record.shares["w"])


def everything_faster(wanted: Scenario, factor: float) -> Scenario:
    """Return the scenario with every resource so many times as fast."""
    for resource in (*RESOURCES, "storage"):
        wanted = with_speed(wanted, resource, factor)
    return wanted
