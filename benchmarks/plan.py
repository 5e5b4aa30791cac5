"""Plan search over a thousand layouts: seconds in all, and where they go.

    python benchmarks/plan.py [MODEL GPUS GLOBAL_BATCH SEQUENCE] [--all]

`--all` simulates every layout that fits, which the bound saves otherwise. Times are this machine's.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import clustersim as cs
from clustersim.study.executor import usable_cores

CLUSTER = "topologies/fat-tree-dgx-h100-128.yaml"


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="llama-2-70b")
    parser.add_argument("gpus", nargs="?", type=int, default=512)
    parser.add_argument("global_batch", nargs="?", type=int, default=1024)
    parser.add_argument("sequence", nargs="?", type=int, default=8192)
    parser.add_argument("--cluster", default=CLUSTER)
    parser.add_argument("--all", action="store_true", help="simulate every layout that fits")
    parser.add_argument("--out", help="keep every simulated layout there")
    args = parser.parse_args()
    begun = time.perf_counter()
    found = cs.plan(
        args.model,
        args.cluster,
        gpus=args.gpus,
        global_batch=args.global_batch,
        sequence=args.sequence,
        top=10**6 if args.all else 10,
        out=args.out,
    )
    wall_s = time.perf_counter() - begun
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    counts = ", ".join(f"{number:,} {words}" for words, number in found.counts.items())
    each_s = [each.simulated.wall_s for each in found.found.simulated if each.simulated]
    tightness = [each.assessed.bound_s / each.iteration_s for each in found.found.simulated]
    print(
        f"{args.model}, {args.gpus} GPUs: {wall_s:.0f} s on {usable_cores()} cores, {cpu_s:.0f} CPU seconds"
    )
    print(f"layouts: {counts}")
    print(
        f"one simulation: median {statistics.median(each_s):.2f} s, mean {statistics.mean(each_s):.2f} s, "
        f"longest {max(each_s):.1f} s"
    )
    print(f"bound over simulated time: median {statistics.median(tightness):.2f}, most {max(tightness):.4f}")
    print(f"best: {found.best.words}, {found.best.iteration_s:.3f} s")


if __name__ == "__main__":
    main()
