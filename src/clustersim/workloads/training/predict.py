"""One iteration of a training job, quickly: what validation and plan search ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clustersim.engine.collection import rare_collection
from clustersim.engine.world import World
from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology
from clustersim.workloads.training.job import TrainingJob, describe_job
from clustersim.workloads.training.memory import MemoryBreakdown
from clustersim.workloads.training.workload import TrainingWorkload

__all__ = ["Prediction", "predict"]


@dataclass(frozen=True)
class Prediction:
    """What one iteration takes.

    Parameters
    ----------
    iteration_s
        Its time.
    metrics
        As `clustersim.workloads.training.columns.METRICS`: the parts that add up to the iteration, samples
        and tokens per second, MFU.
    memory
        Of a GPU of each stage.
    attribution
        Shares of the iteration by resource.
    job
        Layout, stages and cost that it was computed from.
    """

    iteration_s: float
    metrics: Mapping[str, float]
    memory: tuple[MemoryBreakdown, ...]
    attribution: Mapping[str, float]
    job: TrainingJob

    @property
    def memory_bytes(self) -> float:
        """Bytes on a GPU of the fullest stage."""
        return max(memory.total_bytes for memory in self.memory)

    @property
    def samples_per_s(self) -> float:
        """Samples of all replicas per second."""
        return self.metrics["samples_per_s"]

    @property
    def mfu(self) -> float:
        """Model FLOPs over peak FLOPs."""
        return self.metrics["mfu"]


def predict(
    spec: TrainingSpec,
    topology: Topology,
    *,
    base: Path | None = None,
    gpus: tuple[str, ...] | None = None,
    job: TrainingJob | None = None,
) -> Prediction:
    """Simulate one iteration of a job that has the cluster to itself, its replicas folded.

    The engine is that of a run; no trace is kept, and other replicas' sends are taken not to be in the way.

    Parameters
    ----------
    gpus
        Of the job, in rank order. Default: the first ones of the topology.
    job
        What `describe_job` has found, where it is known already.

    Raises
    ------
    InputError, CannotRunError
        As `TrainingWorkload`.

    **Valid when** replicas are alike; jitter, spread and stragglers are left out.
    **Checked by:** tests/workloads/test_training_predict.py, against a run.
    """
    once = {"steps": 1, "duration": None, "start": 0.0}
    alike = {"fold": "always", "kernel_jitter": 0.0, "gpu_spread": 0.0, "stragglers": ()}
    spec = spec.model_copy(update={**alike, **once})
    gpus = topology.gpus[: spec.gpus] if gpus is None else gpus
    with rare_collection():
        job = describe_job(spec, topology=topology, gpus=gpus, base=base) if job is None else job
        world = World(topology, keep_trace=False)
        workload = TrainingWorkload(spec, topology=topology, gpus=gpus, base=base, job=job, sketch=True)
        world.env.run(until=workload.start(world))
    metrics = workload.metrics()
    return Prediction(
        iteration_s=metrics["iteration_s.mean"],
        metrics=metrics,
        memory=tuple(job.memory),
        attribution=workload.attribution(),
        job=job,
    )
