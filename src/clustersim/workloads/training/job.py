"""A training job before it runs: its numbers checked, its cost and its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.training import TrainingCost, training_cost
from clustersim.errors import CannotRunError, CatalogError, InputError, Problem
from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology
from clustersim.workloads.training.plan import IterationPlan, plan_iteration

__all__ = ["TrainingJob", "describe_job"]


@dataclass(frozen=True)
class TrainingJob:
    """What is known about a job before it runs.

    Parameters
    ----------
    accelerator
        Catalogue name of its GPUs.
    replicas
        Data-parallel replicas, one GPU each.
    global_batch
        Samples per optimizer step.
    """

    model: str
    accelerator: str
    peak_flops: float
    replicas: int
    global_batch: int
    cost: TrainingCost
    plan: IterationPlan

    def rates(self, samples_per_s: float) -> dict[str, float]:
        """Return what follows from the throughput: tokens/s, scaling efficiency, MFU."""
        one_gpu = self.global_batch / self.replicas / self.plan.alone_s
        rates = {
            "scaling_efficiency": samples_per_s / (self.replicas * one_gpu),
            "mfu": samples_per_s * self.cost.flops_per_sample / (self.replicas * self.peak_flops),
        }
        if self.cost.sequence is not None:
            rates["tokens_per_s"] = samples_per_s * self.cost.sequence
        return rates

    def facts(self) -> Mapping[str, float | str]:
        """Return what a reader wants to know about the job, memory by use included."""
        facts: dict[str, float | str] = {
            "model": self.model,
            "accelerator": self.accelerator,
            "parameters": float(self.cost.parameters),
            "gpus": float(self.replicas),
            "global_batch": float(self.global_batch),
            "micro_steps": float(self.plan.micro_steps),
            "gradient_buckets": float(len(self.plan.buckets)),
            "gradient_bytes": sum(bucket.size_bytes for bucket in self.plan.buckets),
            "flops_per_sample": self.cost.flops_per_sample,
        }
        return facts | {f"memory.{use}_bytes": size for use, size in self.cost.memory.items()}


def describe_job(
    spec: TrainingSpec, *, topology: Topology, gpus: tuple[str, ...], base: Path | None = None
) -> TrainingJob:
    """Check a spec against the GPUs that it was given, and work out its cost and plan.

    Raises
    ------
    InputError
        For unknown names and numbers that do not divide.
    CannotRunError
        If a replica does not fit into the memory of its GPU.
    """
    replicas = _replicas(spec, gpus)
    micro_steps = _micro_steps(spec, replicas)
    accelerator = _accelerator(topology, gpus)
    with _blamed_on("model"):
        model = catalog.model(spec.model, base=base)
    with _blamed_on("precision"):
        peak_flops = accelerator.peak(spec.precision)
    cost = training_cost(
        model,
        accelerator,
        precision=spec.precision,
        micro_batch=spec.micro_batch,
        sequence=spec.sequence,
        optimizer=spec.optimizer,
        recompute=spec.recompute,
        attention=spec.attention,
    )
    _check_memory(cost, min(topology.memory_bytes(gpu) for gpu in gpus), accelerator.name)
    plan = plan_iteration(
        cost,
        micro_steps=micro_steps,
        bucket_bytes=spec.overlap.gradient_bucket,
        overlap=spec.overlap.enabled,
        synchronised=replicas > 1,
    )
    return TrainingJob(
        model=model.name,
        accelerator=accelerator.name,
        peak_flops=peak_flops,
        replicas=replicas,
        global_batch=spec.micro_batch * micro_steps * replicas,
        cost=cost,
        plan=plan,
    )


def _replicas(spec: TrainingSpec, gpus: tuple[str, ...]) -> int:
    data = len(gpus) if spec.parallelism.data is None else spec.parallelism.data
    if data != len(gpus):
        raise InputError(
            Problem(
                ("parallelism", "data"),
                f"{data} replicas of one GPU each do not make up {len(gpus)} GPUs; "
                f"leave 'data' out, or set it to {len(gpus)}",
            )
        )
    return data


def _micro_steps(spec: TrainingSpec, replicas: int) -> int:
    together = spec.micro_batch * replicas
    global_batch = together if spec.global_batch is None else spec.global_batch
    if global_batch % together:
        below = global_batch - global_batch % together
        nearest = f"{below} or {below + together}" if below else f"{together}"
        raise InputError(
            Problem(
                ("global_batch",),
                f"{global_batch} is not a multiple of micro_batch × data = {spec.micro_batch} × {replicas} "
                f"= {together}; the nearest that divide: {nearest}",
            )
        )
    return global_batch // together


def _accelerator(topology: Topology, gpus: tuple[str, ...]) -> Accelerator:
    names = sorted({topology.accelerator_of(gpu) for gpu in gpus})
    if len(names) > 1:
        raise CannotRunError(
            Problem(
                ("placement",),
                f"the job's GPUs are of {len(names)} kinds ({', '.join(names)}); lockstep training is "
                "modelled on GPUs of one kind: name nodes of one kind in 'placement.nodes'",
            )
        )
    return catalog.accelerator(names[0])


@contextmanager
def _blamed_on(field: str) -> Iterator[None]:
    """Give an error of the catalogue its place in the workload."""
    try:
        yield
    except CatalogError as error:
        raise InputError(Problem((field,), str(error))) from None


def _check_memory(cost: TrainingCost, memory_bytes: float, accelerator: str) -> None:
    needed_bytes = cost.memory.total_bytes
    if needed_bytes <= memory_bytes:
        return
    parts = ", ".join(f"{use} {_size(size)}" for use, size in cost.memory.items())
    raise CannotRunError(
        Problem(
            ("micro_batch",),
            f"a replica needs {_size(needed_bytes)} of GPU memory, {accelerator} has {_size(memory_bytes)} "
            f"({parts}); take a smaller micro_batch or sequence, 'recompute: full', or a GPU with more "
            "memory",
        )
    )


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.3g} GiB"
