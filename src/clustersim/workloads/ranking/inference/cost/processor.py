"""Look-ups and layers on a socket of the host."""

from __future__ import annotations

from clustersim.catalog.processors import Processor
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator
from clustersim.cost.ranking.dense import dense_forward
from clustersim.cost.roofline import KernelTime
from clustersim.workloads.ranking.inference.cost.kernels import Work

__all__ = ["ProcessorKernels"]


class ProcessorKernels:
    """Operators on one socket, one after the other.

    *Equation.* t = Σ_operators max(FLOPs/(e_c·peak), bytes/(e_m·bandwidth)) + operators·dispatch; all of it
    is time of the host.

    Parameters
    ----------
    precision, interaction_precision
        Of layers, and of the interaction where it differs.
    processor
        Rates and efficiencies of the socket.
    speed
        How many times faster the cluster's hosts are.

    Raises
    ------
    CatalogError
        For arithmetic that the processor does not have.

    **Valid when** products are large enough for all cores, and sockets do not share memory.
    **Checked by:** tests/workloads/ranking/test_ranking_inference_service.py.
    """

    def __init__(
        self,
        model: RankingModel,
        *,
        precision: str,
        interaction_precision: str | None,
        processor: Processor,
        speed: float,
    ) -> None:
        for each in (precision, interaction_precision or precision):
            processor.rate(each)
        self._model = model
        self._precision = precision
        self._interaction_precision = interaction_precision
        self._processor = processor
        self._speed = speed

    def layers(self, samples: float, queries: float, *extra: Operator) -> Work:
        """Return the work of the layers for a batch, with further operators before them."""
        layers = dense_forward(
            self._model,
            batch=samples,
            precision=self._precision,
            queries=queries,
            interaction_precision=self._interaction_precision,
        )
        operators = (*extra, *layers.operators)
        return Work(
            KernelTime(launch_s=sum(self._seconds(each) for each in operators)),
            flops=sum(each.count * each.flops for each in operators),
        )

    def _seconds(self, operator: Operator) -> float:
        own = self._processor
        compute_s = operator.flops / (own.product_efficiency * own.rate(operator.precision))
        memory_s = operator.bytes_moved / (own.memory_efficiency * own.memory_bandwidth_bytes_per_s)
        return operator.count * (max(compute_s, memory_s) + own.operator_s) / self._speed
