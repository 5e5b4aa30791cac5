"""Small scenarios that radars of tests are of."""

from __future__ import annotations

from typing import Any

from clustersim.spec.scenario import Scenario

CLUSTER = {"topology": {"kind": "star", "nodes": 2, "node": "dgx-a100"}}
TRAINING: dict[str, Any] = {
    "kind": "training",
    "name": "train",
    "model": "llama-2-7b",
    "gpus": 16,
    "parallelism": {"zero": 3},
    "micro_batch": 1,
    "global_batch": 16,
    "sequence": 2048,
    "recompute": "full",
    "steps": 2,
}
DECODE: dict[str, Any] = {
    "kind": "inference",
    "name": "decode",
    "model": "llama-2-7b",
    "engine": "vllm-v1",
    "scheduler": {"policy": "vllm-v1"},
    "parallelism": {"tensor": 2},
    "arrivals": {"kind": "closed-loop", "clients": 8},
    "lengths": {"prompt": 16, "output": 200},
    "requests": 16,
}
PREFILL: dict[str, Any] = {**DECODE, "name": "prefill", "lengths": {"prompt": 2048, "output": 1}}


def scenario(*workloads: dict[str, Any], name: str = "small") -> Scenario:
    """A scenario of these workloads on two DGX A100."""
    return Scenario.from_dict({"name": name, "cluster": CLUSTER, "workloads": list(workloads)})
