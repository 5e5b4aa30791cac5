"""Iterations of many micro-batches from two of few: pipelines and accumulation repeat themselves."""

from __future__ import annotations

from collections.abc import Callable

from clustersim.spec.training import TrainingSpec
from clustersim.study.plan.layouts import Simulated, layout_fields

__all__ = ["estimate", "repeats"]

_WORTH = 4
"""Times that the shorter of the two iterations has to fit into the whole one."""

_PASSES = 256
"""Passes of all stages below which the whole iteration takes no longer than the two."""

_RATES = ("mfu", "samples_per_s", "tokens_per_s", "scaling_efficiency")


def repeats(spec: TrainingSpec) -> bool:
    """Whether an iteration has so many micro-batches that two shorter ones are quicker."""
    layout, few = layout_fields(spec), _few(spec)
    passes = layout["micro_batches"] * layout["pipeline"] * layout["virtual_stages"]
    return bool(layout["micro_batches"] >= _WORTH * few and passes >= _PASSES)


def estimate(spec: TrainingSpec, simulate: Callable[[TrainingSpec], Simulated]) -> Simulated:
    """Return an iteration of many micro-batches from one of p and one of 2p, on p stages (2 and 4 on one).

    *Equation.* T(m) = T(2p) + (m - 2p)·(T(2p) - T(p))/p, and so for every part of it: once all stages are
    busy, what happens repeats with every micro-batch.

    **Valid when** it repeats at once: exact to rounding but where sends and collectives of other
    micro-batches meet on the same links, so that it drifts (interleaved stages with context groups over
    nodes: 0.5 %).
    **Checked by:** tests/study/test_plan_steady.py.
    """
    few, many = _few(spec), layout_fields(spec)["micro_batches"]
    short, longer = (simulate(_with(spec, number)) for number in (few, 2 * few))
    if short.error or longer.error:
        return longer if longer.error else short
    times = (many - 2 * few) / few
    iteration_s = longer.iteration_s + times * (longer.iteration_s - short.iteration_s)
    metrics = {
        name: value + times * (value - short.metrics.get(name, value))
        for name, value in longer.metrics.items()
    }
    faster = many / (2 * few) * longer.iteration_s / iteration_s
    metrics |= {name: longer.metrics[name] * faster for name in _RATES if name in longer.metrics}
    wall_s = short.wall_s + longer.wall_s
    return Simulated(iteration_s=iteration_s, metrics=metrics, wall_s=wall_s, whole=False)


def _few(spec: TrainingSpec) -> int:
    return max(2, spec.parallelism.pipeline)


def _with(spec: TrainingSpec, micro_batches: int) -> TrainingSpec:
    batch = spec.micro_batch * layout_fields(spec)["data"] * micro_batches
    return spec.model_copy(update={"global_batch": batch})
