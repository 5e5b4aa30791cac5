"""Seconds to simulate one training iteration: folded and unfolded, preparation beside.

    python benchmarks/training.py [--quick]

Absolute numbers are this machine's.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import Any, NamedTuple

from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology, build
from clustersim.workloads.training import TrainingWorkload
from clustersim.workloads.training.predict import predict


class Case(NamedTuple):
    """A job on DGX nodes."""

    model: str
    node: str
    nodes: int
    parallelism: dict[str, int]
    global_batch: int
    sequence: int

    def spec(self, fold: str) -> TrainingSpec:
        fields: dict[str, Any] = {
            "kind": "training",
            "name": "job",
            "model": self.model,
            "gpus": 8 * self.nodes,
            "parallelism": self.parallelism,
            "recompute": "full",
            "micro_batch": 1,
            "global_batch": self.global_batch,
            "sequence": self.sequence,
            "steps": 1,
            "fold": fold,
        }
        return TrainingSpec.model_validate(fields)

    def topology(self) -> Topology:
        cluster = {
            "topology": {"kind": "rail-optimized", "nodes": self.nodes, "node": self.node},
            "fabric": {"routing": "spray"},
        }
        return build(ClusterSpec.model_validate(cluster), base=None)


GPT_3 = Case("gpt-3-175b", "dgx-a100-80gb", 128, {"tensor": 8, "pipeline": 8}, 1536, 2048)
GPT_3_DEEP = GPT_3._replace(parallelism={"tensor": 8, "pipeline": 16})
LLAMA = Case("llama-3.1-405b", "dgx-h100", 2048, {"tensor": 8, "pipeline": 16, "zero": 1}, 2048, 8192)


def seconds(case: Case, topology: Topology, fold: str) -> tuple[float, float, float]:
    """Return CPU seconds of preparation and of the iteration, and its simulated time."""
    gc.collect()
    started = time.process_time()
    world = World(topology, keep_trace=False)
    spec = case.spec(fold)
    workload = TrainingWorkload(spec, topology=topology, gpus=topology.gpus[: spec.gpus])
    done = workload.start(world)
    prepared = time.process_time()
    world.env.run(until=done)
    ended = time.process_time()
    return prepared - started, ended - prepared, workload.outcome().metrics["iteration_s.mean"]


def predicted(case: Case, topology: Topology) -> tuple[float, float]:
    """Return the least CPU seconds of three predictions, and their iteration."""
    best_s = float("inf")
    for _ in range(3):
        gc.collect()
        started = time.process_time()
        found = predict(case.spec("always"), topology)
        best_s = min(best_s, time.process_time() - started)
    return best_s, found.iteration_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the largest jobs")
    quick = parser.parse_args().quick
    print("| job | GPUs | lanes | preparation, s | one iteration, s | simulated, s |")
    print("|---|---|---|---|---|---|")
    for case in [GPT_3] if quick else [GPT_3, GPT_3_DEEP, LLAMA]:
        started = time.process_time()
        topology = case.topology()
        built_s = time.process_time() - started
        sizes = ", ".join(f"{name} {size}" for name, size in case.parallelism.items())
        name = f"{case.model}, {sizes}"
        for fold in ["always"] if case is LLAMA else ["always", "never"]:
            prepare_s, run_s, iteration_s = seconds(case, topology, fold)
            lanes = "folded" if fold == "always" else "each"
            print(
                f"| {name} | {8 * case.nodes:,} | {lanes} | {prepare_s:.2f} | {run_s:.2f} "
                f"| {iteration_s:.12g} |"
            )
        predict_s, iteration_s = predicted(case, topology)
        print(f"| {name} | {8 * case.nodes:,} | `predict` | | {predict_s:.2f} | {iteration_s:.12g} |")
        print(f"| {name} | {8 * case.nodes:,} | topology alone | {built_s:.2f} | | |")


if __name__ == "__main__":
    main()
