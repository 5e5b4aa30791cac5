"""How many requests of a service are simulated per second of CPU, through the whole of `cs.run`.

    python benchmarks/serving.py [--quick] [--million] [--tables FOLDER]

The load is that of the published comparisons: lengths of the Azure conversation trace, Poisson
arrivals at 2 requests per second and replica, Llama-2-7B on A100, chunks of 512 tokens (Sarathi). Times
of steps are the roofline's; with --tables those of a folder of measured times as well (docs/scheduling.md),
for requests cut to the 4,096 tokens that such tables hold.
Absolute numbers are this machine's; the ratio to stepping, in the same run, is what to compare.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import clustersim as cs
from measuring import peak_mib, simpy_events_per_s

LENGTHS = "azure-conversation-2023"
MOST_TOKENS = 4096


def short_lengths(requests: int) -> Path:
    """Write lengths of the trace to a file, prompts cut so that a request fits the tables."""
    columns = cs.catalog.lengths(LENGTHS).sample(np.random.default_rng(1), requests)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    path = Path(tempfile.mkdtemp()) / "lengths.csv"
    lines = (f"{min(prompt, MOST_TOKENS - 64 - output)},{output}" for prompt, output in rows)
    path.write_text("\n".join(["ContextTokens,GeneratedTokens", *lines]), encoding="utf-8")
    return path


def scenario(
    requests: int,
    replicas: int,
    *,
    skip_ahead: bool = True,
    trace: bool = True,
    tables: Path | None = None,
) -> cs.Scenario:
    """Return the service with so many replicas, each with its share of the load."""
    lengths: dict[str, object] = {"table": LENGTHS}
    times: dict[str, object] = {}
    if tables:
        lengths = {"path": str(short_lengths(requests)), "order": "file"}
        times = {"step_times": {"tables": str(tables.resolve())}}
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
                    "lengths": lengths,
                    "skip_ahead": skip_ahead,
                    "requests": requests,
                    **times,
                }
            ],
        }
    )


def seconds_of(load: cs.Scenario) -> float:
    """Return the CPU seconds of a run."""
    started = time.process_time()
    cs.run(load)
    return time.process_time() - started


def report(requests: int, replicas: int, *, trace: bool = True, tables: Path | None = None) -> float:
    """Print the rate of a load; return its CPU seconds."""
    seconds = seconds_of(scenario(requests, replicas, trace=trace, tables=tables))
    print(
        f"{requests:>9,} requests, {replicas:>2} replicas: {requests / seconds:>8,.0f} per CPU second "
        f"({seconds:.1f} s), peak memory of this process so far {peak_mib():,.0f} MiB",
        flush=True,
    )
    return seconds


def compare(requests: int, *, tables: Path | None = None) -> None:
    """Print the rates of 1 and 8 replicas, and how much longer stepping takes."""
    print("times of tables" if tables else "times of the roofline")
    seconds_of(scenario(100, 1, tables=tables))
    for replicas in (1, 8):
        seconds = report(requests, replicas, tables=tables)
        stepping = seconds_of(scenario(requests, replicas, skip_ahead=False, tables=tables))
        print(f"{'':>32}step by step {stepping / seconds:.1f} times as long", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--million", action="store_true", help="1,000,000 requests on 64 replicas as well")
    parser.add_argument("--tables", type=Path, metavar="FOLDER", help="measured times of operators")
    arguments = parser.parse_args()
    requests = 1_000 if arguments.quick else 10_000
    print(f"plain simpy: {simpy_events_per_s(200_000):,.0f} events per second")
    compare(requests)
    if arguments.tables:
        compare(requests, tables=arguments.tables)
    if arguments.million:
        report(1_000_000, 64, trace=False)


if __name__ == "__main__":
    main()
