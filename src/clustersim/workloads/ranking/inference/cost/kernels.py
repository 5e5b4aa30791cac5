"""Kernels of a batch on one device: look-ups, layers, and what the engine adds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator, element_bytes, elementwise
from clustersim.cost.ranking.dense import DensePass, dense_forward
from clustersim.cost.roofline import KernelTime, SustainedRoofline

__all__ = ["DenseKernels", "Work"]


@dataclass(frozen=True)
class Work:
    """Time of kernels on one device, and what they do."""

    time: KernelTime
    flops: float = 0.0
    hbm_bytes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.time + other.time, self.flops + other.flops, self.hbm_bytes + other.hbm_bytes)

    def __mul__(self, times: float) -> Work:
        return Work(self.time * times, self.flops * times, self.hbm_bytes * times)

    def waiting_for_memory(self, seconds: float) -> Work:
        """Return the same with a time in which the device waits for its memory."""
        return replace(self, time=self.time + KernelTime(memory_s=seconds))


class DenseKernels:
    """The layers of a model on one device, and the time between launches.

    *Equation.* t = max(Σ kernels, launches·launch time); what launches add is time of the host. A captured
    graph has no launches. Products hold the rate that the power limit allows hour after hour.

    Parameters
    ----------
    precision, interaction_precision
        Of layers, and of the interaction where it differs.
    engine
        Which kernels are fused and captured.
    device
        At the speed of the cluster.

    **Checked by:** tests/workloads/ranking/test_ranking_inference_service.py.
    """

    def __init__(
        self,
        model: RankingModel,
        *,
        precision: str,
        interaction_precision: str | None,
        engine: RankingEngine,
        device: Accelerator,
    ) -> None:
        self._model = model
        self._precision = precision
        self._interaction_precision = interaction_precision
        self._engine = engine
        self._roofline = SustainedRoofline(device)
        own_s = device.kernel_launch_s
        self._launch_s = own_s if engine.launch_s is None else engine.launch_s / device.speed.host

    def layers(self, samples: float, queries: float, *extra: Operator) -> Work:
        """Return the work of the layers for a batch, with further kernels before them."""
        return self.run(*extra, *self._forward(samples, queries).operators)

    def run(self, *operators: Operator) -> Work:
        """Return the work of kernels that are launched one after the other."""
        executed = self._roofline.stream(operators)
        if not self._engine.captured:
            launches = sum(operator.count * operator.launches for operator in operators)
            waiting_s = max(0.0, launches * self._launch_s - executed.seconds)
            executed += KernelTime(launch_s=waiting_s)
        return Work(
            executed,
            sum(operator.count * operator.flops for operator in operators),
            sum(operator.count * operator.bytes_moved for operator in operators),
        )

    def hand_over(self, elements: float) -> tuple[Operator, ...]:
        """Return the copy of pooled embeddings from a sparse model to a dense one, if there is one."""
        precision = self._engine.hand_over
        if precision is None:
            return ()
        return (
            elementwise(
                "hand-over", bytes_moved=2.0 * element_bytes(precision) * elements, precision=precision
            ),
        )

    def _forward(self, samples: float, queries: float) -> DensePass:
        engine = self._engine
        layers = self._pass(samples, queries, fused=engine.fused)
        if engine.fused_interaction == engine.fused:
            return layers
        apart = self._pass(samples, queries, fused=engine.fused_interaction)
        return replace(layers, interaction=apart.interaction)

    def _pass(self, samples: float, queries: float, *, fused: bool) -> DensePass:
        return dense_forward(
            self._model,
            batch=samples,
            precision=self._precision,
            fused=fused,
            queries=queries,
            interaction_precision=self._interaction_precision,
        )
