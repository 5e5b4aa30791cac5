"""How many ranking queries are simulated per second of CPU, through the whole of `cs.run`.

    python benchmarks/ranking_serving.py [--quick] [--million]

Queries bring 100 to 700 candidates, as MLPerf's do, to DLRM of 4 billion parameters on 32 replicas of one
A100 (two of which share a PCIe switch, so that their copies are flows) or one H100 (which has its own PCIe,
so that a batch of a single instance is one event). Absolute numbers are this machine's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import clustersim as cs
from measuring import peak_mib, simpy_events_per_s

REPLICAS = 32
CASES: Mapping[str, Mapping[str, object]] = {
    "shared PCIe, two instances": {"node": "dgx-a100", "instances": 2, "rate": "150000 qps"},
    "private PCIe, two instances": {"node": "dgx-h100", "instances": 2, "rate": "150000 qps"},
    "private PCIe, one instance": {"node": "dgx-h100", "instances": 1, "rate": "100000 qps"},
    "pieces over eight GPUs": {"node": "dgx-h100", "instances": 1, "rate": "20000 qps", "gpus": 8},
}


def scenario(queries: int, case: Mapping[str, object]) -> cs.Scenario:
    """Return the service."""
    gpus = int(str(case.get("gpus", 1)))
    service = {
        "kind": "ranking-inference",
        "name": "feed",
        "model": "dlrm-nvidia-4b",
        "replicas": REPLICAS // gpus,
        "gpus_per_replica": gpus,
        "embeddings": {"kind": "local", "precision": "fp16", "copies": "per-gpu"},
        "instances": case["instances"],
        "batching": {"split": 64} if gpus > 1 else {},
        "routing": "least-outstanding",
        "arrivals": {"kind": "poisson", "rate": case["rate"]},
        "candidates": {"kind": "quantiles"},
        "slo": {"latency": "5 ms"},
        "queries": queries,
    }
    return cs.Scenario.from_dict(
        {
            "name": "feed",
            "seed": 1,
            "run": {"trace": False},
            "cluster": {"topology": {"kind": "star", "nodes": REPLICAS // 8, "node": case["node"]}},
            "workloads": [service],
        }
    )


def measured(queries: int, case: Mapping[str, object]) -> tuple[float, cs.Result]:
    """Return the CPU seconds of a run, and its result."""
    load = scenario(queries, case)
    started = time.process_time()
    result = cs.run(load)
    return time.process_time() - started, result


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 queries in place of 50,000")
    parser.add_argument("--million", action="store_true", help="one run of 1,000,000 queries")
    args = parser.parse_args()
    print(f"plain simpy: {simpy_events_per_s(200_000):,.0f} events/s")
    print(f"{'case':30}{'queries':>11}{'CPU s':>8}{'queries/s':>12}{'p99 ms':>9}{'MiB':>7}")
    queries = 1_000_000 if args.million else 2_000 if args.quick else 50_000
    for name, case in list(CASES.items())[: 1 if args.million else None]:
        seconds, result = measured(queries, case)
        p99_ms = 1e3 * result.outcome("feed").metrics["latency_s.p99"]
        print(f"{name:30}{queries:11,}{seconds:8.1f}{queries / seconds:12,.0f}{p99_ms:9.3f}{peak_mib():7.0f}")


if __name__ == "__main__":
    main()
