"""A small made-up result with round numbers, for tests of everything above the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, QUEUEING, Activity, link_resource
from clustersim.results import Ending, FabricReport, Result
from clustersim.results.flow_rates import OWN_RATE, FlowRates, RateSeries
from clustersim.results.link_sharing import LinkSharing
from clustersim.spec.scenario import Scenario
from clustersim.workloads.base import Outcome

UPLINK = "leaf0>spine0"
DOWNLINK = "spine0>leaf1"
NVLINK = "node0/gpu0>node0/nvswitch"


def scenario(**changes: object) -> Scenario:
    """Two workloads on a small leaf-spine; nothing of it is looked up."""
    made = Scenario.from_dict(
        {
            "name": "synthetic",
            "seed": 3,
            "cluster": {
                "topology": {"kind": "leaf-spine", "nodes": 4, "node": "dgx-a100", "nodes_per_leaf": 2}
            },
            "workloads": [
                {
                    "kind": "training",
                    "name": "pretrain",
                    "model": "gpt2",
                    "gpus": 8,
                    "micro_batch": 1,
                    "steps": 4,
                },
                {
                    "kind": "inference",
                    "name": "chat",
                    "model": "llama-2-7b",
                    "arrivals": {"kind": "fixed", "rate": "2 req/s"},
                    "lengths": {"prompt": 100, "output": 11},
                    "requests": 4,
                },
            ],
        }
    )
    return made.with_(**changes) if changes else made


def training() -> Outcome:
    """Four iterations of 0.5 s: 0.3 s compute, 0.15 s exposed communication, 0.05 s host."""
    rows = 4
    table = {
        "iteration": np.arange(rows),
        "start_s": 0.5 * np.arange(rows),
        "duration_s": np.full(rows, 0.5),
        "compute_s": np.full(rows, 0.3),
        "bubble_s": np.zeros(rows),
        **{
            f"exposed_{kind}_s": np.zeros(rows)
            for kind in ("tensor", "context", "expert", "pipeline", "offload")
        },
        "exposed_data_s": np.full(rows, 0.15),
        "exposed_communication_s": np.full(rows, 0.15),
        "host_s": np.full(rows, 0.05),
        "data_stall_s": np.zeros(rows),
        "waiting_s": np.zeros(rows),
    }
    metrics = {
        "iteration_s.mean": 0.5,
        "iteration_s.p50": 0.5,
        "iteration_s.p99": 0.5,
        "compute_s": 0.3,
        "bubble_s": 0.0,
        "exposed_communication_s": 0.15,
        "host_s": 0.05,
        "waiting_s": 0.0,
        "samples_per_s": 128.0,
        "scaling_efficiency": 0.7,
        "bus_bandwidth_bytes_per_s": 9.5e9,
        "memory_bytes": 20 * 2.0**30,
    }
    shares = {COMPUTE: 0.5, link_resource(UPLINK): 0.25, link_resource(DOWNLINK): 0.05, MEMORY_BANDWIDTH: 0.1}
    facts: dict[str, float | str] = {"model": "gpt2", "gpus": 8.0, "accelerator": "a100"}
    tables = {"iterations": table, "passes": passes(), "memory": memory()}
    return Outcome("pretrain", "training", metrics, tables, shares | {HOST: 0.1}, True, (), facts)


def passes() -> dict[str, np.ndarray]:
    """One forward and one backward pass of a micro-batch on two stages, and the optimizer."""
    return {
        "stage": np.array([0, 1, 1, 0, 0, 1]),
        "replica": np.zeros(6, dtype=int),
        "kind": np.array(["forward", "forward", "backward", "backward", "optimizer", "optimizer"]),
        "micro_batch": np.array([0, 0, 0, 0, -1, -1]),
        "chunk": np.array([0, 0, 0, 0, -1, -1]),
        "start_s": np.array([0.0, 0.1, 0.2, 0.3, 0.45, 0.45]),
        "end_s": np.array([0.1, 0.2, 0.3, 0.45, 0.5, 0.5]),
    }


def memory() -> dict[str, np.ndarray]:
    """20 GiB on the first stage, 16 GiB on the second."""
    return {
        "stage": np.array([0, 0, 1, 1]),
        "use": np.array(["weights", "activations", "weights", "activations"]),
        "bytes": np.array([8.0, 12.0, 8.0, 8.0]) * 2.0**30,
    }


def inference() -> Outcome:
    """Four requests in pairs; the second pair waits 0.25 s for admission."""
    arrival_s = np.array([0.0, 0.5, 1.0, 1.5])
    admitted_s = np.array([0.0, 0.5, 1.25, 1.75])
    first_s = admitted_s + np.array([0.1, 0.1, 0.2, 0.2])
    finish_s = first_s + 0.2
    requests = {
        "request": np.arange(4),
        "replica": np.zeros(4, dtype=int),
        "counted": np.ones(4, dtype=bool),
        "arrival_s": arrival_s,
        "prompt_tokens": np.full(4, 100),
        "output_tokens": np.full(4, 11),
        "admitted_s": admitted_s,
        "first_token_s": first_s,
        "finish_s": finish_s,
        "queue_s": admitted_s - arrival_s,
        "ttft_s": first_s - arrival_s,
        "tpot_s": np.full(4, 0.02),
        "e2e_s": finish_s - arrival_s,
        "preemptions": np.zeros(4, dtype=int),
    }
    steps = {
        "start_s": np.sort(np.concatenate((admitted_s, first_s))),
        "end_s": np.sort(np.concatenate((first_s, finish_s))),
        "replica": np.zeros(8, dtype=int),
        "batch": np.ones(8, dtype=int),
        "tokens": np.tile([100, 10], 4),
        "kv_used_fraction": np.tile([0.25, 0.5], 4),
        "queue_length": np.zeros(8, dtype=int),
    }
    metrics = {
        f"{name}.{statistic}": float(value)
        for name in ("ttft_s", "tpot_s", "e2e_s")
        for statistic, value in _statistics(requests[name]).items()
    }
    metrics |= {
        "queue_s.mean": 0.125,
        "requests_per_s": 2.0,
        "output_tokens_per_s": 22.0,
        "slo_attainment": 0.75,
    }
    metrics |= {"kv_occupancy.mean": 0.3, "kv_occupancy.max": 0.5, "batch.mean": 1.0, "preemptions": 0.0}
    metrics |= {"requests_sent": 4.0, "requests_finished": 4.0}
    shares = {MEMORY_BANDWIDTH: 0.6, COMPUTE: 0.2, QUEUEING: 0.2}
    facts: dict[str, float | str] = {"model": "llama-2-7b", "replicas": 1.0}
    tables = {"requests": requests, "steps": steps}
    return Outcome("chat", "inference", metrics, tables, shares, True, (), facts)


def _statistics(values: np.ndarray) -> dict[str, float]:
    points = {f"p{p:g}": float(np.percentile(values, p)) for p in (50, 90, 99, 99.9)}
    return {"mean": float(values.mean()), **points}


def trace() -> list[Activity]:
    """Iterations of forward, backward, all-reduce and optimizer; requests of prefill and decode."""
    rows: list[Activity] = []
    cause = -1
    for start_s in (0.0, 0.5, 1.0, 1.5):
        compute = {COMPUTE: 0.8, MEMORY_BANDWIDTH: 0.2}
        cause = _add(rows, "compute", "pretrain/compute", "forward", start_s, 0.1, cause, compute)
        cause = _add(rows, "compute", "pretrain/compute", "backward 1/1", start_s + 0.1, 0.2, cause, compute)
        held = {link_resource(UPLINK): 0.9, link_resource(DOWNLINK): 0.1}
        cause = _add(rows, "collective", "pretrain/comm", "gradients", start_s + 0.3, 0.15, cause, held)
        host = {HOST: 1.0}
        cause = _add(rows, "compute", "pretrain/compute", "optimizer", start_s + 0.45, 0.05, cause, host)
    served = inference().tables["requests"]
    times = (served[column].tolist() for column in ("admitted_s", "first_token_s", "finish_s"))
    for admitted_s, first_s, finish_s in zip(*times, strict=True):
        prefill_s, decode_s, lane = first_s - admitted_s, finish_s - first_s, "chat.0/engine"
        prefill = _add(rows, "compute", lane, "prefill", admitted_s, prefill_s, -1, {COMPUTE: 1.0})
        _add(rows, "compute", lane, "decode ×10", first_s, decode_s, prefill, {MEMORY_BANDWIDTH: 1.0})
    return rows


def _add(
    rows: list[Activity],
    kind: str,
    lane: str,
    label: str,
    start_s: float,
    length_s: float,
    cause: int,
    split: Mapping[str, float],
) -> int:
    shares = {resource: part * length_s for resource, part in split.items()}
    rows.append(Activity(kind, lane, label, start_s, start_s + length_s, cause, shares))
    return len(rows) - 1


def fabric() -> FabricReport:
    """Three links over 2 s in four bins; the uplink is full from 0.5 s to 1.5 s."""
    nan = float("nan")
    return FabricReport(
        names=(UPLINK, DOWNLINK, NVLINK),
        tiers=("leaf-spine", "leaf-spine", "scale-up"),
        kinds=("ethernet", "ethernet", "nvlink"),
        capacity_bytes_per_s=np.array([12.5e9, 12.5e9, 300e9]),
        carried_bytes=np.array([18.75e9, 12.5e9, 60e9]),
        mean_utilization=np.array([0.75, 0.5, 0.1]),
        saturated_s=np.array([1.0, 0.0, 0.0]),
        first_saturated_s=np.array([0.5, nan, nan]),
        last_saturated_s=np.array([1.5, nan, nan]),
        bin_edges_s=np.linspace(0.0, 2.0, 5),
        utilization=np.array([[0.5, 1.0, 1.0, 0.5], [0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]]),
        duration_s=2.0,
        links=24,
        sharing=sharing(),
    )


def sharing() -> LinkSharing:
    """Both jobs on the uplink; it is full for pretrain, and the downlink the slowest of its rings."""
    return LinkSharing(
        link=np.array([0, 0, 1, 2, 2]),
        owner=("pretrain", "chat.0", "pretrain", "pretrain", "chat.0"),
        workload=("pretrain", "chat", "pretrain", "pretrain", "chat"),
        traffic=("all-reduce", "all-reduce", "all-reduce", "all-reduce", "transfer"),
        carried_bytes=np.array([15e9, 3.75e9, 12.5e9, 45e9, 15e9]),
        held_back_s=np.array([0.5, 0.125, 0.0, 0.0, 0.0]),
        protocol_bound_s=np.array([0.0, 0.0, 0.25, 0.0, 0.0]),
    )


def rates() -> FlowRates:
    """Rates of pretrain: 1 GB/s at its own rate, then 0.5 GB/s at the full uplink, a pause, 1 GB/s."""
    series = RateSeries(
        owner="pretrain",
        workload="pretrain",
        traffic="all-reduce",
        route=f"{UPLINK} and 1 more link",
        start_s=np.array([0.25, 0.5, 1.5]),
        end_s=np.array([0.5, 1.0, 2.0]),
        rate_bytes_per_s=np.array([1e9, 0.5e9, 1e9]),
        held_by=np.array([OWN_RATE, UPLINK, OWN_RATE], dtype=object),
    )
    return FlowRates((series,), kept=True)


def result(**changes: object) -> Result:
    """The result of a run of `scenario()` that took 1.5 s."""
    made = Result(
        scenario=scenario(),
        seed=3,
        version="0.0.0",
        content_hash="0123456789abcdef" * 4,
        ending=Ending.COMPLETE,
        outcomes={"pretrain": training(), "chat": inference()},
        fabric=fabric(),
        simulated_s=2.05,
        wall_s=1.5,
        trace=trace(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]
