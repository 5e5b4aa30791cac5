"""Tables divided over the GPUs of a replica, which work on each batch together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import Operator
from clustersim.workloads.ranking.inference.cost.kernels import Work
from clustersim.workloads.ranking.inference.cost.places import Way
from clustersim.workloads.ranking.inference.cost.rows import ServedTables
from clustersim.workloads.ranking.inference.cost.timer import RooflineTimer
from clustersim.workloads.ranking.inference.replica.exchange import Exchange
from clustersim.workloads.ranking.inference.replica.profile import Kernels, Step
from clustersim.workloads.ranking.sharding.kernels import rank_kernels, replicated_kernels
from clustersim.workloads.ranking.sharding.plan import ShardingPlan

__all__ = ["ShardedRows"]

Numbers = NDArray[np.float64]


class ShardedRows:
    """One copy of the tables over all GPUs of a replica.

    *Equation.* Of n samples each of G GPUs takes n/G. Indices go to whoever has the row; each GPU looks up,
    and pools, its part of the tables for all n; pooled embeddings go back; then each computes the layers for
    its own samples. The GPUs wait for the one with most to look up.

    Parameters
    ----------
    tables, plan
        Which tables, and where their parts are.
    device
        Each GPU.
    key_s
        Time per row that the engine adds.
    output_precision
        Of pooled embeddings.

    **Valid when** all GPUs begin and end a batch together, as ranks of one process group do.
    **Checked by:** tests/workloads/ranking/test_ranking_inference_service.py.
    """

    hit_rate: float | None = None
    together = True

    def __init__(
        self,
        tables: ServedTables,
        plan: ShardingPlan,
        *,
        device: Accelerator,
        key_s: float,
        output_precision: str,
    ) -> None:
        self._tables = tables
        self._plan = plan
        self._device = device
        self._key_s = key_s
        self._output_precision = output_precision

    @property
    def device_bytes(self) -> float:
        """Rows on the fullest GPU."""
        return float(self._plan.memory_bytes().max())

    def way(self, timer: RooflineTimer, samples: float, queries: float) -> Way:
        """Return: copy, exchange indices, look up, exchange embeddings, compute the layers."""
        ranks = self._plan.ranks
        batch = self._tables.bags(samples, queries) / ranks
        lookups = self._lookups(timer, batch)
        layers = timer.dense.layers(samples / ranks, queries / ranks)
        indices = self._plan.index_bytes(batch)
        pooled = self._plan.forward_exchanges(batch, self._output_precision)
        exchanges = [Exchange(each) for each in (indices, *pooled)]
        slowest = max(lookups, key=lambda work: work.time.seconds)
        steps: list[Step] = [
            *timer.copies_in(samples, queries),
            exchanges[0],
            Kernels(slowest.time),
            *exchanges[1:],
            Kernels(layers.time),
        ]
        return Way(
            steps=steps,
            works=(slowest, layers),
            flops=sum(work.flops for work in lookups) + ranks * layers.flops,
            hbm_bytes=sum(work.hbm_bytes for work in lookups) + ranks * layers.hbm_bytes,
            network_bytes=float(sum(_between(each.bytes_by_pair).sum() for each in exchanges)),
            messages=float(ranks * len(exchanges)),
        )

    def _lookups(self, timer: RooflineTimer, batch: Numbers) -> list[Work]:
        """Return the look-ups of each GPU."""
        options = {"accelerator": self._device, "precision": self._output_precision}
        every = replicated_kernels(self._plan, batch, **options)  # type: ignore[arg-type]
        shared: tuple[Operator, ...] = () if every is None else (every.lookup,)
        kernels = rank_kernels(self._plan, batch, **options)  # type: ignore[arg-type]
        rows = self._plan.lookups(batch)
        return [
            timer.dense.run(kernel.lookup, *shared).waiting_for_memory(number * self._key_s)
            for kernel, number in zip(kernels, rows.tolist(), strict=True)
        ]


def _between(matrix: Numbers) -> Numbers:
    """Return what goes from one GPU to another."""
    return matrix - np.diag(np.diag(matrix))
