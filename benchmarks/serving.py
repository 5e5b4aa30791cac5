"""How many requests of a service are simulated per second of CPU, through the whole of `cs.run`.

    python benchmarks/serving.py [--quick] [--million]

The load is that of the published comparisons: lengths of the Azure conversation trace, Poisson
arrivals at 2 requests per second and replica, Llama-2-7B on A100, chunks of 512 tokens (Sarathi).
Absolute numbers are this machine's; the ratio to stepping, in the same run, is what to compare.
"""

from __future__ import annotations

import argparse
import resource
import time

import clustersim as cs
from measuring import simpy_events_per_s


def scenario(requests: int, replicas: int, *, skip_ahead: bool = True, trace: bool = True) -> cs.Scenario:
    """Return the service with so many replicas, each with its share of the load."""
    return cs.Scenario.from_dict(
        {
            "name": "azure",
            "seed": 1,
            "run": {"trace": trace},
            "cluster": {"topology": {"kind": "star", "nodes": -(-replicas // 8), "node": "dgx-a100"}},
            "workloads": [
                {
                    "kind": "inference",
                    "name": "chat",
                    "model": "llama-2-7b",
                    "replicas": replicas,
                    "scheduler": {"policy": "sarathi", "max_batch": 128},
                    "arrivals": {"kind": "poisson", "rate": f"{2 * replicas} req/s"},
                    "lengths": {"table": "azure-conversation-2023"},
                    "skip_ahead": skip_ahead,
                    "requests": requests,
                }
            ],
        }
    )


def seconds_of(load: cs.Scenario) -> float:
    """Return the CPU seconds of a run."""
    started = time.process_time()
    cs.run(load)
    return time.process_time() - started


def report(requests: int, replicas: int, *, trace: bool = True) -> float:
    """Print the rate of a load; return its CPU seconds."""
    seconds = seconds_of(scenario(requests, replicas, trace=trace))
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{requests:>9,} requests, {replicas:>2} replicas: {requests / seconds:>8,.0f} per CPU second "
        f"({seconds:.1f} s), peak memory of this process so far {peak_mib:,.0f} MiB"
    )
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--million", action="store_true", help="1,000,000 requests on 64 replicas as well")
    arguments = parser.parse_args()
    requests = 1_000 if arguments.quick else 10_000
    print(f"plain simpy: {simpy_events_per_s(200_000):,.0f} events per second")
    seconds_of(scenario(100, 1))
    for replicas in (1, 8):
        seconds = report(requests, replicas)
        stepping = seconds_of(scenario(requests, replicas, skip_ahead=False))
        print(f"{'':>32}step by step {stepping / seconds:.1f} times as long")
    if arguments.million:
        report(1_000_000, 64, trace=False)


if __name__ == "__main__":
    main()
