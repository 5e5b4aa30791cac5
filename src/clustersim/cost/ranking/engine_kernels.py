"""Kernels of one batch of a ranking service, as its engine has them: look-ups, hand-over, layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator, element_bytes, elementwise
from clustersim.cost.ranking.dense import DensePass, dense_forward
from clustersim.cost.ranking.embedding import RowWork, lookup
from clustersim.cost.roofline import KernelTime, Roofline

__all__ = ["DevicePart", "dense_part", "sparse_part"]

_REFERENCE_BANDWIDTH_BYTES_PER_S = 2039e9
"""Memory bandwidth of the A100 80GB that an engine's `key_s` was found on."""


@dataclass(frozen=True, kw_only=True)
class DevicePart:
    """Kernels that a device computes one after the other: their time and their work."""

    time: KernelTime = KernelTime.ZERO
    flops: float = 0.0
    bytes_moved: float = 0.0

    def __add__(self, other: DevicePart) -> DevicePart:
        return DevicePart(
            time=self.time + other.time,
            flops=self.flops + other.flops,
            bytes_moved=self.bytes_moved + other.bytes_moved,
        )


def sparse_part(
    work: RowWork,
    engine: RankingEngine,
    roofline: Roofline,
    *,
    output_precision: str,
    handed_over: float = 0.0,
) -> DevicePart:
    """Return the look-ups of a batch on one device.

    *Equation:* the look-up kernel (`clustersim.cost.ranking.embedding.lookup`); `key_s` of the engine for
    each row, which other devices take by their memory bandwidth; and the copy from the sparse to the dense
    model, where they are two: elements·e read and written.

    Parameters
    ----------
    handed_over
        Pooled elements of the batch that an engine with `hand_over` copies.
    """
    accelerator = roofline.accelerator
    operators = [
        lookup(work, output_precision=output_precision, cache_bytes=accelerator.last_level_cache_bytes or 0.0)
    ]
    if engine.hand_over is not None and handed_over:
        moved = 2.0 * handed_over * element_bytes(engine.hand_over)
        operators.append(elementwise("hand-over", bytes_moved=moved, precision=engine.hand_over))
    slower = _REFERENCE_BANDWIDTH_BYTES_PER_S / accelerator.memory_bandwidth_bytes_per_s
    keys_s = float(work.lookups.sum()) * engine.key_s * slower
    return _part(operators, engine, roofline) + DevicePart(time=KernelTime(memory_s=keys_s))


def dense_part(
    model: RankingModel,
    engine: RankingEngine,
    roofline: Roofline,
    *,
    samples: float,
    queries: float,
    precision: str,
    interaction: str | None = None,
) -> DevicePart:
    """Return the layers of a batch: bottom MLP, interaction and top MLP.

    *Equation.* Kernels of an engine that was built for batches of `tuned_samples` t keep their tiles in
    larger ones: D(n) = D(1) + (D(t) − D(1))·(n − 1)/(t − 1).

    Parameters
    ----------
    queries
        Of the batch: what belongs to the user alone is computed once for each.
    interaction
        Precision of the interaction; None: `precision`.
    """
    tuned = engine.tuned_samples
    mixed = _Precisions(precision, interaction or precision)
    if tuned is None or samples <= tuned:
        return _part(_operators(model, engine, samples, queries, mixed), engine, roofline)
    per_sample = queries / samples
    first = _part(_operators(model, engine, 1.0, per_sample, mixed), engine, roofline)
    built = _part(_operators(model, engine, tuned, tuned * per_sample, mixed), engine, roofline)
    more = (samples - 1.0) / (tuned - 1.0)
    return _scaled(first, 1.0 - more) + _scaled(built, more)


@dataclass(frozen=True)
class _Precisions:
    layers: str
    interaction: str


def _operators(
    model: RankingModel, engine: RankingEngine, samples: float, queries: float, precisions: _Precisions
) -> tuple[Operator, ...]:
    def layers(fused: bool) -> DensePass:
        return dense_forward(
            model,
            batch=samples,
            queries=queries,
            precision=precisions.layers,
            interaction_precision=precisions.interaction,
            fused=fused,
        )

    found = layers(engine.fused)
    if engine.fused_interaction != engine.fused:
        found = replace(found, interaction=layers(engine.fused_interaction).interaction)
    return found.operators


def _part(operators: Sequence[Operator], engine: RankingEngine, roofline: Roofline) -> DevicePart:
    time = Roofline.stream(roofline, operators)
    return DevicePart(
        time=time + KernelTime(launch_s=max(0.0, _launches_s(operators, engine, roofline) - time.seconds)),
        flops=sum(each.flops * each.count for each in operators),
        bytes_moved=sum(each.bytes_moved * each.count for each in operators),
    )


def _launches_s(operators: Sequence[Operator], engine: RankingEngine, roofline: Roofline) -> float:
    """Return what the host takes to launch kernels one by one; nothing for a captured graph."""
    if engine.captured:
        return 0.0
    accelerator = roofline.accelerator
    if engine.launch_s is None:
        launch_s = accelerator.kernel_launch_s
    else:
        launch_s = engine.launch_s / accelerator.speed.host
    return launch_s * sum(each.count * each.launches for each in operators)


def _scaled(part: DevicePart, times: float) -> DevicePart:
    return DevicePart(time=part.time * times, flops=part.flops * times, bytes_moved=part.bytes_moved * times)
