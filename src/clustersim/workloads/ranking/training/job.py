"""A job before it runs: its model, plan, cost, memory and program."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.ranking_frameworks import RankingFramework, ranking_framework
from clustersim.catalog.ranking_models import RankingModel
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.ranking.sharding import ShardingSpec
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.topology import Topology
from clustersim.workloads.needs import Needs
from clustersim.workloads.ranking.sharding.devices import devices_of
from clustersim.workloads.ranking.sharding.plan import ShardingPlan
from clustersim.workloads.ranking.sharding.planner import plan_shards
from clustersim.workloads.ranking.training.compile import compile_step
from clustersim.workloads.ranking.training.costs import StepCost, forward_precision
from clustersim.workloads.ranking.training.describe import step_work
from clustersim.workloads.ranking.training.habits import Habits
from clustersim.workloads.ranking.training.memory import StepMemory, check_fits, step_memory
from clustersim.workloads.ranking.training.program import Collective, Program
from clustersim.workloads.ranking.training.work import StepWork

__all__ = ["RankingJob", "describe_job"]


@dataclass(frozen=True, eq=False)
class RankingJob:
    """What is known about a job before it runs.

    Parameters
    ----------
    gpus
        In the order of ranks.
    """

    spec: RankingTrainingSpec
    gpus: tuple[str, ...]
    accelerator: Accelerator
    cost: StepCost
    habits: Habits
    work: StepWork
    program: Program
    memory: StepMemory

    @property
    def model(self) -> RankingModel:
        """What is trained."""
        return self.cost.model

    @property
    def plan(self) -> ShardingPlan:
        """Who has which part of which table."""
        return self.cost.plan

    @property
    def samples(self) -> int:
        """Of all ranks in a step."""
        return self.spec.samples_per_step

    @property
    def memory_bytes(self) -> float:
        """Of the fullest rank."""
        return float(self.memory.total_bytes.max())

    @cached_property
    def network_bytes(self) -> float:
        """Bytes that ranks send to others in a step, copies from hosts apart."""
        return sum(_sent_bytes(task.work, self.program.ranks) for task in self.program.tasks)

    def needs(self, steps: int) -> Needs:
        """Return what so many steps take."""
        collectives = [task for task in self.program.tasks if isinstance(task.work, Collective)]
        return Needs(
            unit="sample",
            units=float(steps * self.samples),
            flops=steps * self.cost.flops,
            hbm_bytes=steps * float(self.cost.hbm_bytes.sum()),
            network_bytes=steps * self.network_bytes,
            messages=float(steps * len(collectives) * self.program.ranks),
        )

    def facts(self) -> dict[str, float | str]:
        """Return what the job was found to be."""
        model = self.model
        return {
            "model": model.name,
            "accelerator": self.accelerator.name,
            "framework": self.cost.framework.name,
            "work.unit": "sample",
            "gpus": float(len(self.gpus)),
            "embedding_parameters": float(model.embedding_parameters),
            "dense_parameters": float(model.dense_parameters),
            "lookups_per_sample": float(model.lookups_per_sample),
            "batch_per_gpu": float(self.cost.batch),
            "global_batch": float(self.samples),
            "table_bytes": float(self.plan.memory_bytes().sum()),
            "plan_imbalance": float(self.plan.imbalance),
            "exchange_precision": self.cost.forward_precision,
            "fullest_rank": float(self.memory.fullest),
            **self.memory.facts(),
        }


def describe_job(
    spec: RankingTrainingSpec, *, topology: Topology, gpus: tuple[str, ...], base: Path | None = None
) -> RankingJob:
    """Check a job and work out all that is known before it runs.

    Raises
    ------
    InputError
        For a model, framework or plan that does not exist, and a batch that does not divide.
    CannotRunError
        Where it does not fit into the GPUs.
    """
    model, framework = _model(spec, base), _framework(spec)
    if spec.economics.tokens is not None:
        raise InputError(Problem(("economics", "tokens"), f"{model.name} has no tokens; give 'samples'"))
    accelerator = topology.accelerator(gpus[0])
    habits = Habits.of(spec, framework, accelerator)
    batch = _batch(spec)
    plan = plan_shards(
        model,
        _sharding(spec, framework),
        devices=devices_of(topology, gpus),
        batch=batch,
        precision=spec.embedding_precision,
        optimizer=spec.embedding_optimizer,
        exchange_precision=forward_precision(spec, framework),
        bytes_per_index=spec.exchange.index or framework.index_bytes,
        base=base,
    )
    cost = StepCost(spec, model, framework, accelerator, plan, batch=batch, bottom_first=habits.bottom_first)
    memory = step_memory(cost, input_ahead=habits.input_ahead)
    capacity = [topology.memory_bytes(gpu) for gpu in gpus]
    check_fits(cost, memory, capacity_bytes=capacity, input_ahead=habits.input_ahead)
    work = step_work(cost, topology=topology, gpus=gpus)
    return RankingJob(spec, gpus, accelerator, cost, habits, work, compile_step(work, habits), memory)


def _model(spec: RankingTrainingSpec, base: Path | None) -> RankingModel:
    try:
        return catalog.ranking_model(spec.model, base=base)
    except CatalogError as error:
        raise InputError(Problem(("model",), str(error))) from None


def _framework(spec: RankingTrainingSpec) -> RankingFramework:
    try:
        return ranking_framework(spec.framework)
    except CatalogError as error:
        raise InputError(Problem(("framework",), str(error))) from None


def _batch(spec: RankingTrainingSpec) -> float:
    """Return the samples of each rank."""
    if spec.samples_per_step % spec.gpus:
        message = f"{spec.global_batch} samples do not divide over {spec.gpus} GPUs; every GPU takes as many"
        raise InputError(Problem(("global_batch",), message))
    return float(spec.samples_per_step // spec.gpus)


def _sharding(spec: RankingTrainingSpec, framework: RankingFramework) -> ShardingSpec:
    """Return what the scenario says of the tables, and where it says nothing what the framework does."""
    if spec.sharding.file is not None:
        return spec.sharding
    usual = ShardingSpec.model_validate(dict(framework.sharding))
    left_out = [name for name in framework.sharding if getattr(spec.sharding, name) is None]
    return spec.sharding.model_copy(update={name: getattr(usual, name) for name in left_out})


def _sent_bytes(work: object, ranks: int) -> float:
    """Bytes that ranks send in a task: a ring's for sums."""
    if not isinstance(work, Collective):
        return 0.0
    if work.kind == "all_reduce":
        return 2.0 * (ranks - 1) * float(work.size)
    return float(np.sum(work.size))
