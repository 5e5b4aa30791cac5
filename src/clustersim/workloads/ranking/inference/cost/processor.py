"""Look-ups and layers on a socket of the host."""

from __future__ import annotations

from clustersim.catalog.processors import Processor
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator
from clustersim.cost.ranking.dense import dense_forward
from clustersim.cost.ranking.embedding import lookup
from clustersim.cost.roofline import KernelTime
from clustersim.spec.ranking.pool import RankingPoolSpec
from clustersim.workloads.ranking.inference.cost.kernels import Work
from clustersim.workloads.ranking.inference.cost.places import Way
from clustersim.workloads.ranking.inference.cost.rows import ServedTables
from clustersim.workloads.ranking.inference.cost.timer import RooflineTimer
from clustersim.workloads.ranking.inference.replica.profile import Kernels

__all__ = ["OnProcessor"]


class OnProcessor:
    """A batch on one socket: rows are in its memory, nothing is copied.

    *Equation.* t = Σ_operators max(FLOPs/(e_c·peak), bytes/(e_m·bandwidth)) + operators·dispatch; all of it
    is time of the host.

    Parameters
    ----------
    processor
        Rates and efficiencies of the socket.
    speed
        How many times faster the cluster's hosts are.

    **Valid when** products are large enough for all cores, and sockets do not share memory.
    **Checked by:** tests/workloads/ranking/test_ranking_inference_processor.py.
    """

    hit_rate: float | None = None
    device_bytes = 0.0
    together = False

    def __init__(
        self,
        model: RankingModel,
        spec: RankingPoolSpec,
        tables: ServedTables,
        processor: Processor,
        *,
        speed: float,
    ) -> None:
        self._model = model
        self._spec = spec
        self._tables = tables
        self._processor = processor
        self._speed = speed

    def way(self, timer: RooflineTimer, samples: float, queries: float) -> Way:
        """Return: look up and compute the layers."""
        gathered = lookup(
            self._tables.work(samples, queries), output_precision=self._spec.precision, cache_bytes=0.0
        )
        layers = dense_forward(
            self._model,
            batch=samples,
            precision=self._spec.precision,
            queries=queries,
            interaction_precision=self._spec.interaction_precision,
        )
        operators = (gathered, *layers.operators)
        work = Work(
            KernelTime(launch_s=sum(self._seconds(each) for each in operators)),
            flops=sum(each.count * each.flops for each in operators),
            hbm_bytes=0.0,
        )
        return Way.of_one([Kernels(work.time)], work)

    def _seconds(self, operator: Operator) -> float:
        own = self._processor
        compute_s = operator.flops / (own.product_efficiency * own.rate(operator.precision))
        memory_s = operator.bytes_moved / (own.memory_efficiency * own.memory_bandwidth_bytes_per_s)
        return operator.count * (max(compute_s, memory_s) + own.operator_s) / self._speed
