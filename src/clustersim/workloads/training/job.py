"""A training job before it runs: its numbers checked, its layout, cost, stages and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.models import TransformerModel
from clustersim.collectives.token_exchange import TokenExchange
from clustersim.cost.operators import element_bytes
from clustersim.cost.optimizers import optimizer_time
from clustersim.cost.roofline import KernelTime
from clustersim.cost.training.training_cost import LayerCost, TrainingCost
from clustersim.errors import CannotRunError, CatalogError, InputError, Problem
from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology
from clustersim.workloads.training.compile import StagePlan
from clustersim.workloads.training.fit import Room
from clustersim.workloads.training.laid_out import LaidOut, Model
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.memory import MemoryBreakdown
from clustersim.workloads.training.replication import Replication
from clustersim.workloads.training.schedules import Order, orders, stash
from clustersim.workloads.training.stages import stage_chunks
from clustersim.workloads.training.stragglers import rank_slowdowns
from clustersim.workloads.training.techniques.activations import ActivationTraffic
from clustersim.workloads.training.techniques.compression import Compression
from clustersim.workloads.training.techniques.local_steps import OuterStep
from clustersim.workloads.training.techniques.offload import HostTraffic, HostUpdate, host_share
from clustersim.workloads.training.techniques.teacher import Teacher

__all__ = ["TrainingJob", "describe_job"]


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """What is known about a job before it runs.

    Parameters
    ----------
    micro_batches
        Of one replica in an iteration.
    global_batch
        Samples per optimizer step.
    chunks
        Layers of each chunk of the model, in its order.
    orders
        Passes of each stage.
    memory
        Of a GPU of each stage.
    host_memory
        Of each stage: what one GPU has on its host, by use.
    traffic
        Activations of each chunk that go to the host.
    update_rate
        Parameters per second that a GPU's part of its host updates.
    slowdown
        How many times longer than usual the kernels of each rank take.
    teacher
        On GPUs of its own; None for none.
    """

    spec: TrainingSpec
    model: Model
    accelerator: Accelerator
    layout: Layout
    micro_batches: int
    global_batch: int
    cost: TrainingCost
    chunks: Sequence[Sequence[LayerCost]]
    orders: Sequence[Order]
    memory: Sequence[MemoryBreakdown]
    host_memory: Sequence[Mapping[str, float]]
    traffic: Sequence[ActivationTraffic]
    update_rate: float
    slowdown: np.ndarray
    teacher: Teacher | None = None

    @property
    def memory_bytes(self) -> float:
        """Bytes on a GPU of the fullest stage."""
        return max(memory.total_bytes for memory in self.memory)

    @cached_property
    def replication(self) -> Replication:
        """What replicas say to each other."""
        spec = self.spec
        return Replication(
            layout=self.layout,
            gradient_bytes=self.cost.gradient_bytes_per_parameter,
            parameter_bytes=float(element_bytes("bf16" if spec.precision == "fp8" else spec.precision)),
            bucket_bytes=spec.overlap.gradient_bucket,
            local=spec.local_steps is not None,
            compression=None
            if spec.compression is None
            else Compression(spec.compression, self.accelerator, self.cost.gradient_bytes_per_parameter),
        )

    @property
    def tokens(self) -> TokenExchange | None:
        """How tokens get to their experts and back; None where every copy goes on its own."""
        moe = self.model.moe if isinstance(self.model, TransformerModel) else None
        if moe is None or self.spec.parallelism.expert_dispatch == "all-to-all":
            return None
        return TokenExchange(moe)

    @cached_property
    def stages(self) -> tuple[StagePlan, ...]:
        """What each stage has to do."""
        return tuple(self._stage(stage) for stage in range(self.layout.pipeline))

    @cached_property
    def stash(self) -> Sequence[int]:
        """Micro-batches and chunks that each stage keeps activations of at once, at the most."""
        return stash(self.orders)

    @cached_property
    def kernels_s(self) -> float:
        """Kernels of one iteration where nothing else takes time, mean over the stages."""
        layers = (layer for chunk in self.chunks for layer in chunk)
        passes_s = sum(layer.forward.seconds + layer.backward.seconds for layer in layers)
        updates_s = sum(stage.optimizer.seconds for stage in self.stages)
        return (self.micro_batches * passes_s + updates_s) / self.layout.pipeline

    def rates(self, samples_per_s: float) -> dict[str, float]:
        """Return what follows from the throughput: tokens/s and scaling efficiency."""
        rates = {"scaling_efficiency": samples_per_s * self.kernels_s / self.global_batch}
        if self.cost.sequence is not None:
            rates["tokens_per_s"] = samples_per_s * self.cost.sequence
        return rates

    def facts(self) -> Mapping[str, float | str]:
        """Return what a reader wants to know about the job, memory by use included."""
        layers = [layer for chunk in self.chunks for layer in chunk]
        parameters = sum(layer.parameters_of_model for layer in layers)
        facts: dict[str, float | str] = {
            "model": self.model.name,
            "accelerator": self.accelerator.name,
            "parameters": float(parameters),
            "trained_parameters": float(self.cost.trained_parameters),
            "gpus": float(self.layout.ranks),
            "layout": self._layout_text(),
            "schedule": self.spec.parallelism.chosen_schedule if self.layout.pipeline > 1 else "none",
            "global_batch": float(self.global_batch),
            "micro_batches": float(self.micro_batches),
            "flops_per_sample": self.cost.flops_per_sample,
        }
        fullest = max(self.memory, key=lambda memory: memory.total_bytes)
        host = max(self.host_memory, key=lambda uses: sum(uses.values()))
        facts |= {f"host_memory.{use}_bytes": size for use, size in host.items()}
        return facts | {f"memory.{use}_bytes": size for use, size in fullest.items()}

    def _layout_text(self) -> str:
        layout, spec = self.layout, self.spec.parallelism
        sizes = {
            "tensor": layout.tensor,
            "context": layout.context,
            "data": layout.data,
            "pipeline": layout.pipeline,
            "virtual stages": spec.virtual_stages,
            "expert": layout.expert,
        }
        named = [f"{name} {size}" for name, size in sizes.items() if size > 1]
        return " × ".join(named) + (f", zero {spec.zero}" if spec.zero else "") or "one GPU"

    def _stage(self, stage: int) -> StagePlan:
        layout, stages = self.layout, self.layout.pipeline
        own = stage_chunks(self.chunks, stage=stage, stages=stages)
        shared = self._shared
        copies = self._copies(stage)
        at_end = stage in (0, stages - 1)
        divided = layout.tensor > 1 or stages > 1 or layout.expert > 1 or layout.zero > 0
        return StagePlan(
            stage=stage,
            stages=stages,
            order=self.orders[stage],
            chunks=own,
            optimizer=self._update(self._updated(own, copies)),
            replication=self.replication,
            overlap=self.spec.overlap,
            tied_bytes=shared * self.replication.gradient_bytes if at_end else 0.0,
            norm=divided and layout.ranks > 1,
            outer=OuterStep.of(
                self.spec,
                layout,
                self.accelerator,
                own,
                parameter_bytes=self.replication.parameter_bytes,
            ),
            taught=self.teacher is not None,
            loads=self.spec.data_loading is not None,
            host=self._host(stage, self._updated(own, copies)) if self._offloads else None,
        )

    @property
    def _shared(self) -> int:
        """Weights that the last stage has copies of, as the first embeds with them."""
        return sum(layer.shared_parameters for layer in self.chunks[-1]) if self.layout.pipeline > 1 else 0

    def _copies(self, stage: int) -> int:
        return self._shared if stage == self.layout.pipeline - 1 else 0

    @property
    def _offloads(self) -> bool:
        return self.spec.offload.optimizer or self.spec.offload.activation_layers > 0

    def _host(self, stage: int, updated: float) -> HostTraffic:
        """Return what GPUs of a stage say to their hosts."""
        optimizer, replication = self.spec.offload.optimizer, self.replication
        return HostTraffic(
            layout=self.layout,
            activations=self.traffic[stage :: self.layout.pipeline],
            gradient_bytes=replication.gradient_bytes if optimizer else 0.0,
            every_pass=self.spec.offload.gradients,
            update=HostUpdate(updated, self.update_rate, replication.parameter_bytes) if optimizer else None,
        )

    def updated_parameters(self, stage: int) -> float:
        """Return the parameters that one GPU of a stage updates."""
        plan = self.stages[stage]
        return self._updated(plan.chunks, self._copies(stage))

    def _updated(self, chunks: Sequence[Sequence[LayerCost]], copies: int) -> float:
        """Return the parameters that one GPU of a stage updates."""
        layers = [layer for chunk in chunks for layer in chunk]
        dense = copies + sum(layer.parameters for layer in layers)
        experts = sum(layer.expert_parameters for layer in layers)
        return dense / self.layout.zero_ranks + experts / self.layout.expert_zero_ranks

    def _update(self, parameters: float) -> KernelTime:
        if self.spec.offload.optimizer:
            return KernelTime.ZERO
        return optimizer_time(
            self.accelerator,
            self.spec.optimizer,
            parameters,
            self.spec.precision,
            gradient_bytes=self.cost.gradient_bytes_per_parameter,
        )


def describe_job(
    spec: TrainingSpec,
    *,
    topology: Topology,
    gpus: tuple[str, ...],
    base: Path | None = None,
    model: Model | None = None,
    fits: bool = True,
) -> TrainingJob:
    """Check a spec against the GPUs that it was given, and work out layout, cost and memory.

    Parameters
    ----------
    model
        In place of the one that the spec names.
    fits
        Whether a job that does not fit into memory is refused.

    Raises
    ------
    InputError
        For unknown names and numbers that do not divide.
    CannotRunError
        If a stage does not fit into the memory of its GPUs.
    """
    gpus, own = _apart(spec, gpus)
    accelerator = _accelerator(topology, gpus)
    if model is None:
        with _blamed_on("model"):
            model = catalog.model(spec.model, base=base)
    with _blamed_on("precision"):
        accelerator.peak(spec.precision)
    teacher = None
    if spec.distillation is not None:
        with _blamed_on("distillation", "teacher"):
            teacher = catalog.model(spec.distillation.teacher, base=base)
    laid_out = LaidOut.of(spec, model=model, accelerator=accelerator, gpus=gpus, teacher=teacher)
    if fits:
        Room(model, accelerator, gpus, accelerator.memory_bytes, teacher).check(spec, laid_out.memory)
    layout = laid_out.layout
    apart = None
    if own and isinstance(teacher, TransformerModel):
        apart = Teacher.of(spec, teacher, _accelerator(topology, own), gpus=own, layout=layout)
    return TrainingJob(
        teacher=apart,
        spec=spec,
        model=model,
        accelerator=accelerator,
        layout=layout,
        micro_batches=laid_out.micro_batches,
        global_batch=spec.micro_batch * laid_out.micro_batches * layout.data,
        cost=laid_out.cost,
        chunks=laid_out.chunks,
        orders=orders(
            spec.parallelism.chosen_schedule,
            stages=layout.pipeline,
            micro_batches=laid_out.micro_batches,
            chunks=spec.parallelism.virtual_stages,
        ),
        memory=laid_out.memory,
        host_memory=laid_out.host_memory,
        traffic=laid_out.traffic,
        update_rate=host_share(spec.offload, gpus, topology) if spec.offload.optimizer else 0.0,
        slowdown=rank_slowdowns(spec.stragglers, layout, topology=topology, gpus=gpus),
    )


def _apart(spec: TrainingSpec, gpus: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide GPUs into those of the student and those of a teacher of its own."""
    own = None if spec.distillation is None else spec.distillation.gpus
    if own is None:
        return gpus, ()
    if own >= len(gpus):
        message = f"{own} of the job's {len(gpus)} GPUs leave none for the student"
        raise InputError(Problem(("distillation", "gpus"), message))
    return gpus[:-own], gpus[-own:]


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
    return topology.accelerator(gpus[0])


@contextmanager
def _blamed_on(*field: str) -> Iterator[None]:
    """Give an error of the catalogue its place in the workload."""
    try:
        yield
    except CatalogError as error:
        raise InputError(Problem(field, str(error))) from None
