"""A training step of DLRM-DCNv2 on 8, 64 and 128 GPUs: tables dealt out one by one beside the planner's plan.

    python benchmarks/ranking_training.py [--quick]

Prints for each what a step takes, how long all wait for the slowest rank, and how long simulating it takes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from clustersim import catalog
from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.topology import build
from clustersim.workloads.ranking.training import RankingTrainingWorkload

MODEL = "dlrm-dcnv2-mlperf"


class Measured(NamedTuple):
    """What a job was found to take, simulated and here."""

    metrics: dict[str, float]
    preparing_s: float
    step_here_s: float


def dealt_out(gpus: int, folder: Path) -> Path:
    """Write the plan that gives table i to GPU i, and begins anew at the last GPU."""
    tables = catalog.ranking_model(MODEL).tables
    lines = [
        f"  - {{name: {table.name}, kind: table-wise, ranks: [{number % gpus}]}}"
        for number, table in enumerate(tables)
    ]
    path = folder / f"dealt-out-over-{gpus}.yaml"
    path.write_text("\n".join(["tables:", *lines, ""]), encoding="utf-8")
    return path


def measure(gpus: int, global_batch: int, sharding: dict[str, Any], *, steps: int, base: Path) -> Measured:
    """Run a job."""
    kind = "star" if gpus <= 8 else "rail-optimized"
    cluster = {"topology": {"kind": kind, "nodes": -(-gpus // 8), "node": "dgx-h100"}}
    topology = build(ClusterSpec.model_validate(cluster), base=None)
    spec = RankingTrainingSpec.model_validate(
        {
            "kind": "ranking-training",
            "name": "dlrm",
            "model": MODEL,
            "gpus": gpus,
            "global_batch": global_batch,
            "precision": "fp16",
            "framework": "hugectr",
            "sharding": sharding,
            "steps": steps,
        }
    )
    started_s = time.process_time()
    workload = RankingTrainingWorkload(spec, topology=topology, gpus=topology.gpus[:gpus], base=base)
    prepared_s = time.process_time()
    world = World(topology, keep_trace=False)
    workload.start(world)
    world.env.run()
    ended_s = time.process_time()
    metrics = dict(workload.outcome().metrics)
    return Measured(metrics, prepared_s - started_s, (ended_s - prepared_s) / steps)


def report(name: str, gpus: int, found: Measured) -> None:
    """Print one line."""
    metrics = found.metrics
    print(
        f"{gpus:5d} GPUs  {name:12s} step {1e3 * metrics['iteration_s.mean']:7.3f} ms"
        f"  waiting for the slowest {1e3 * metrics['waiting_s']:7.3f} ms"
        f"  kernels of tables, most over mean {metrics['embedding_imbalance']:6.2f}"
        f"   prepared in {found.preparing_s:6.2f} s, a step simulated in {1e3 * found.step_here_s:7.1f} ms"
    )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 steps in place of 20, and not 1,024 GPUs")
    quick = parser.parse_args().quick
    cases = [(8, 55_296), (64, 135_168), (128, 135_168), *([] if quick else [(1024, 1_081_344)])]
    with TemporaryDirectory() as name:
        base = Path(name)
        for gpus, global_batch in cases:
            plans: dict[str, dict[str, Any]] = {
                "dealt out": {"file": dealt_out(gpus, base).name},
                "planned": {},
            }
            for words, sharding in plans.items():
                steps = 3 if quick else 20
                report(words, gpus, measure(gpus, global_batch, sharding, steps=steps, base=base))


if __name__ == "__main__":
    main()
