"""What a step takes of each GPU's memory: tables, layers, activations, buffers of exchanges, samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clustersim.catalog.ranking_layers import linear_layers
from clustersim.cost.operators import element_bytes
from clustersim.cost.ranking.optimizer import EMBEDDING_OPTIMIZERS
from clustersim.errors import CannotRunError, Problem
from clustersim.workloads.base import Table
from clustersim.workloads.ranking.training.costs import StepCost
from clustersim.workloads.ranking.training.describe import sample_bytes

__all__ = ["MEMORY_USES", "StepMemory", "check_fits", "step_memory"]

MEMORY_USES = ("tables", "table_states", "table_cache", "dense", "activations", "exchanges", "samples")


@dataclass(frozen=True, eq=False)
class StepMemory:
    """Bytes of each use on each rank."""

    uses: Mapping[str, np.ndarray]

    @property
    def total_bytes(self) -> np.ndarray:
        """By rank."""
        total: np.ndarray = np.sum(list(self.uses.values()), axis=0)
        return total

    @property
    def fullest(self) -> int:
        """The rank that needs most."""
        return int(self.total_bytes.argmax())

    def facts(self) -> dict[str, float]:
        """Return what each use takes on the fullest rank."""
        found = {f"memory.{use}_bytes": float(by_rank[self.fullest]) for use, by_rank in self.uses.items()}
        return {name: size for name, size in found.items() if size}

    def table(self) -> Table:
        """Return one row per rank and use."""
        ranks = len(self.total_bytes)
        return {
            "rank": np.repeat(np.arange(ranks), len(self.uses)),
            "use": np.tile(np.array(list(self.uses)), ranks),
            "bytes": np.column_stack(list(self.uses.values())).ravel(),
        }


def step_memory(cost: StepCost, *, input_ahead: int) -> StepMemory:
    """Return what a job takes of each GPU.

    *Equation.* Tables by the plan. Dense part: weight, gradient and n states of 4 bytes for each parameter, 2
    more for a 16-bit copy. Activations: B·Σ outputs of all layers, and what enters the interaction, once.
    Exchanges: pooled embeddings of the own tables for all samples and of all tables for own samples, and
    gradients of both. Samples: input_ahead + 1 batches, and received indices of two.

    **Valid when** nothing is computed again, and the allocator wastes nothing.
    **Checked by:** tests/workloads/ranking/test_ranking_training_job.py.
    """
    plan, model, batch = cost.plan, cost.model, cost.batch
    ranks = np.ones(plan.ranks)
    tables = plan.memory()
    size = element_bytes(cost.spec.precision)
    outputs = sum(layer.rows * layer.outputs for layer in linear_layers(model))
    states = EMBEDDING_OPTIMIZERS[cost.spec.optimizer].numbers_per_element
    dense_bytes = 8.0 + 4.0 * states + (2.0 if size == 2 else 0.0)
    elements = plan.output_elements(batch) + batch * model.pooled_elements
    travelling = element_bytes(cost.forward_precision) + element_bytes(cost.backward_precision)
    indices = 2.0 * cost.index_bytes * plan.lookups(batch)
    return StepMemory(
        {
            "tables": tables.weights,
            "table_states": tables.states,
            "table_cache": tables.cache,
            "dense": ranks * model.dense_parameters * dense_bytes,
            "activations": ranks * batch * (outputs + model.interaction_width + model.pooled_elements) * size,
            "exchanges": elements * travelling if plan.ranks > 1 else 0.0 * ranks,
            "samples": ranks * (input_ahead + 1) * batch * sample_bytes(cost) + indices,
        }
    )


def check_fits(
    cost: StepCost, memory: StepMemory, *, capacity_bytes: Sequence[float], input_ahead: int
) -> None:
    """Refuse a job that does not fit.

    Raises
    ------
    CannotRunError
        With the memory of the fullest rank by use, and what would fit.
    """
    over = memory.total_bytes - np.asarray(capacity_bytes)
    rank = int(over.argmax())
    if over[rank] <= 0.0:
        return
    parts = ", ".join(
        f"{use} {_size(by_rank[rank])}" for use, by_rank in memory.uses.items() if by_rank[rank]
    )
    least_bytes = float(min(capacity_bytes))
    fitting = next(_fitting_batches(cost, least_bytes, input_ahead), None)
    advice = (
        "no smaller batch does: take more GPUs, 'embedding_precision: fp16' or 'sharding.place: uvm-cached'"
        if fitting is None
        else f"it fits with {_batch_words(cost, fitting)}"
    )
    message = (
        f"rank {rank} needs {_size(memory.total_bytes[rank])} of GPU memory, {cost.accelerator.name} has "
        f"{_size(capacity_bytes[rank])} ({parts}); {advice}"
    )
    raise CannotRunError(Problem(("batch" if cost.spec.batch else "global_batch",), message))


def _fitting_batches(cost: StepCost, capacity_bytes: float, input_ahead: int) -> Iterator[int]:
    """Yield smaller batches that fit, largest first, with the plan as it is."""
    batch = int(cost.batch) // 2
    while batch >= 1:
        smaller = step_memory(replace(cost, batch=float(batch)), input_ahead=input_ahead)
        if float(smaller.total_bytes.max()) <= capacity_bytes:
            yield batch
        batch //= 2


def _batch_words(cost: StepCost, batch: int) -> str:
    """Write a batch of each rank as the scenario gives it."""
    return f"'batch: {batch}'" if cost.spec.batch else f"'global_batch: {batch * cost.plan.ranks}'"


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.3g} GiB"
