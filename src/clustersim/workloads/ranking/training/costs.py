"""What one step takes on each rank: kernels of the dense part, of look-ups and of updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.ranking_frameworks import RankingFramework
from clustersim.catalog.ranking_layers import linear_layers
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator, element_bytes, elementwise
from clustersim.cost.ranking.dense import DensePass, dense_backward, dense_forward
from clustersim.cost.ranking.optimizer import EMBEDDING_OPTIMIZERS
from clustersim.cost.roofline import KernelTime, SustainedRoofline
from clustersim.engine.trace import COMPUTE, MEMORY_BANDWIDTH
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.workloads.ranking.sharding.kernels import (
    RankKernels,
    ReplicatedKernels,
    rank_kernels,
    replicated_kernels,
)
from clustersim.workloads.ranking.sharding.plan import ShardingPlan
from clustersim.workloads.ranking.training.program import Kernels
from clustersim.workloads.ranking.training.side_kernels import SideKernels
from clustersim.workloads.ranking.training.work import DENSE_STAGES

__all__ = ["RankOperators", "StepCost", "forward_precision"]

RankOperators = Sequence[Sequence[Operator]]
"""Operators of each rank."""

_MIXED = ("fp16", "bf16")


def _kernels(operators: RankOperators, roofline: SustainedRoofline, *, count: float | None) -> Kernels:
    """Return operators by rank as kernels: so many, or those of the rank that has most."""
    known: dict[int, KernelTime] = {}
    for own in operators:
        if id(own) not in known:
            known[id(own)] = roofline.stream(own)
    times = [known[id(own)] for own in operators]
    compute_s = np.array([time.compute_s for time in times])
    memory_s = np.array([time.memory_s for time in times])
    if count is None:
        count = max(sum(each.count * each.launches for each in own) for own in operators)
    return Kernels(compute_s + memory_s, {COMPUTE: compute_s, MEMORY_BANDWIDTH: memory_s}, count)


def forward_precision(spec: RankingTrainingSpec, framework: RankingFramework) -> str:
    """Return the precision of pooled embeddings on their way."""
    half = framework.half_exchange and spec.precision in _MIXED
    return spec.exchange.forward or (spec.precision if half else "fp32")


@dataclass(frozen=True, eq=False)
class StepCost:
    """Operators of one step of a job, and their times on its GPUs.

    Parameters
    ----------
    batch
        Samples of each rank.
    bottom_first
        The bottom MLP runs on rank 0 for all.

    **Valid when** all ranks bring as many samples, and those have the mean number of look-ups.
    **Checked by:** tests/workloads/ranking/test_ranking_training_costs.py.
    """

    spec: RankingTrainingSpec
    model: RankingModel
    framework: RankingFramework
    accelerator: Accelerator
    plan: ShardingPlan
    batch: float
    bottom_first: bool = False

    @cached_property
    def operators(self) -> Mapping[str, RankOperators]:
        """All kernels of a step by rank, by what they are for: `forward bottom`, …, `lookup`, `update`."""
        found = {f"forward {stage}": self._dense(dense_forward, stage) for stage in DENSE_STAGES}
        found |= {f"backward {stage}": self._dense(dense_backward, stage) for stage in DENSE_STAGES}
        found["lookup"], found["update"] = self._tables
        found["optimizer"] = [self._optimizer()] * self.plan.ranks
        return found

    @cached_property
    def kernels(self) -> Mapping[str, Kernels]:
        """The same as times on the GPUs of the job."""
        roofline = SustainedRoofline(self.accelerator)
        once = self.framework.embedding_kernels
        for_tables = once or float(max(self.local_tables.max(), 1.0))
        counts = {"lookup": for_tables, "update": for_tables, "optimizer": None}
        return {
            name: _kernels(operators, roofline, count=counts.get(name))
            for name, operators in self.operators.items()
        }

    @cached_property
    def flops(self) -> float:
        """Arithmetic of all ranks in one step."""
        return sum(each.count * each.flops for each in self._every())

    @cached_property
    def hbm_bytes(self) -> np.ndarray:
        """Bytes through the memory of each rank in one step."""
        ranks = range(self.plan.ranks)
        return np.array(
            [
                sum(each.count * each.bytes_moved for own in self.operators.values() for each in own[rank])
                for rank in ranks
            ]
        )

    @cached_property
    def local_tables(self) -> np.ndarray:
        """Tables, or parts of tables, on each rank."""
        return np.array([float(len(self.plan.shards_of(rank))) for rank in range(self.plan.ranks)])

    @cached_property
    def gradient_bytes(self) -> Mapping[str, float]:
        """Bytes of gradients that are summed over ranks, by stage of the backward pass."""
        size = float(element_bytes(self.spec.exchange.gradients or "fp32"))
        sizes = dict.fromkeys(DENSE_STAGES, 0.0)
        for layer in linear_layers(self.model):
            sizes["top" if layer.part == "heads" else layer.part] += size * layer.parameters
        if self.bottom_first:
            sizes["bottom"] = 0.0
        return sizes | {"tables": self.plan.all_reduce_bytes()}

    def _every(self) -> Iterator[Operator]:
        return (each for by_rank in self.operators.values() for own in by_rank for each in own)

    # ---- dense part

    def _dense(self, one_way: Callable[..., DensePass], stage: str) -> RankOperators:
        """Operators of a stage by rank."""
        ranks = self.plan.ranks
        if stage == "bottom" and self.bottom_first:
            return [self._stage(one_way, stage, ranks * self.batch), *[()] * (ranks - 1)]
        return [self._stage(one_way, stage, self.batch)] * ranks

    def _stage(self, one_way: Callable[..., DensePass], stage: str, batch: float) -> Sequence[Operator]:
        framework, host = self.framework, self.spec.host
        fused = framework.fused if host.fused is None else host.fused
        if stage == "interaction":
            fused = framework.fused_interaction if host.fused is None else host.fused
        layers = one_way(self.model, batch=batch, precision=self.spec.precision, fused=fused)
        operators: Sequence[Operator] = getattr(layers, stage)
        return [*operators, *self._side(batch).beside(stage, operators)]

    def _optimizer(self) -> Sequence[Operator]:
        """The update of the dense part in one kernel, and of tables that every rank holds.

        *Equation.* Each parameter: gradient read, weight and n states of 4 bytes read and written:
        4 + 2·(4 + 4·n), and 2 for the 16-bit copy of the weights.
        """
        states = EMBEDDING_OPTIMIZERS[self.spec.optimizer].numbers_per_element
        copied = 2.0 if self.spec.precision in _MIXED else 0.0
        size_bytes = self.model.dense_parameters * (12.0 + 8.0 * states + copied)
        dense = elementwise("dense optimizer", kind="optimizer", bytes_moved=size_bytes, precision="fp32")
        replicated = self._replicated
        gradient_bytes = sum(self.gradient_bytes.values())
        copies = self._side(self.batch).whole_gradients(gradient_bytes, ranks=self.plan.ranks)
        return (dense, *copies) if replicated is None else (dense, *copies, replicated.step)

    # ---- tables

    @cached_property
    def _tables(self) -> tuple[RankOperators, RankOperators]:
        """Look-ups, and backward passes with updates, by rank."""
        forward, backward = self._of_tables(self.forward_precision), self._of_tables(self.backward_precision)
        lookups: list[Sequence[Operator]] = [(each.lookup,) for each in forward]
        updates: list[Sequence[Operator]] = [
            (*each.update, *self._written(rank)) for rank, each in enumerate(backward)
        ]
        if self._replicated is not None:
            lookups = [(*each, self._replicated.lookup) for each in lookups]
            updates = [(*each, self._replicated.gradient) for each in updates]
        return lookups, updates

    def _of_tables(self, precision: str) -> list[RankKernels]:
        return rank_kernels(self.plan, self.batch, accelerator=self.accelerator, precision=precision)

    @cached_property
    def _replicated(self) -> ReplicatedKernels | None:
        """Kernels for tables that every rank holds."""
        return replicated_kernels(
            self.plan, self.batch, accelerator=self.accelerator, precision=self.forward_precision
        )

    def _written(self, rank: int) -> Sequence[Operator]:
        """What frameworks do beside the update that write the gradient of each looked-up row."""
        if self.framework.embedding_gradient == "fused":
            return ()
        own, replicated = self.plan.work(rank, self.batch), self.plan.replicated_work(self.batch)
        works = [work for work in (own, replicated) if work is not None]
        elements = sum(float((work.lookups * work.columns).sum()) for work in works)
        lookups = sum(float(work.lookups.sum()) for work in works)
        return self._side(self.batch).row_gradients(elements, lookups=lookups)

    def _side(self, batch: float) -> SideKernels:
        """What the framework runs beside the kernels of the model for so many samples."""
        return SideKernels(
            framework=self.framework, model=self.model, batch=batch, precision=self.spec.precision
        )

    # ---- what travels

    @property
    def forward_precision(self) -> str:
        """Of pooled embeddings on their way."""
        return forward_precision(self.spec, self.framework)

    @property
    def backward_precision(self) -> str:
        """Of their gradients on the way back."""
        return self.spec.exchange.backward or self.forward_precision

    @property
    def index_bytes(self) -> int:
        """Of one index."""
        return self.plan.bytes_per_index
