"""Small training jobs for tests: a cluster, a job, a run."""

from __future__ import annotations

from typing import Any

from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology, build
from clustersim.workloads.training import TrainingWorkload
from clustersim.workloads.training.closed_form import never_alone
from clustersim.workloads.training.compile import compile_stage
from clustersim.workloads.training.program import Compute, Launch, Program


def cluster(*, nodes: int = 2, node: str = "a100-40gb-x4", **fabric: Any) -> Topology:
    spec = {"topology": {"kind": "star", "nodes": nodes, "node": node}, "fabric": fabric}
    return build(ClusterSpec.model_validate(spec), base=None)


def job(**fields: Any) -> TrainingSpec:
    usual = {
        "kind": "training",
        "name": "job",
        "model": "bert-large",
        "gpus": 8,
        "micro_batch": 8,
        "sequence": 128,
        "steps": 3,
    }
    if "duration" in fields:
        del usual["steps"]
    return TrainingSpec.model_validate(usual | fields)


def workload(spec: TrainingSpec, topology: Topology) -> TrainingWorkload:
    return TrainingWorkload(spec, topology=topology, gpus=topology.gpus[: spec.gpus])


def run(
    spec: TrainingSpec, topology: Topology, *, seed: int = 0, undisturbed: bool = False
) -> tuple[TrainingWorkload, World]:
    world = World(topology, seed=seed)
    world.undisturbed = undisturbed
    training = workload(spec, topology)
    world.env.run(until=training.start(world))
    return training, world


def iteration_s(spec: TrainingSpec, topology: Topology) -> float:
    return run(spec, topology)[0].outcome().metrics["iteration_s.mean"]


def program(training: TrainingWorkload, *, stage: int = 0) -> Program:
    """Return what a lane does where no collective has its links to itself."""
    return compile_stage(training.job.stages[stage], alone_of=never_alone)


def buckets(training: TrainingWorkload) -> list[Launch]:
    return [item for item in program(training) if isinstance(item, Launch)]


def kernels_s(training: TrainingWorkload) -> float:
    return sum(item.seconds for item in program(training) if isinstance(item, Compute))
