"""The two models of an experiment side by side, and how much their difference is known to."""

from __future__ import annotations

import numpy as np

from clustersim.spec.ranking.experiment import RankingExperimentSpec
from clustersim.workloads.ranking.inference.experiment import Arm, Division, differences
from clustersim.workloads.ranking.inference.measures.served import ServedQueries
from clustersim.workloads.running_cost import RunningCost

__all__ = ["arms", "compared_metrics"]


def compared_metrics(
    served: ServedQueries, experiment: RankingExperimentSpec | None, gpus: tuple[int, int]
) -> dict[str, float]:
    """Return statistics of control and variant, their difference and its limits; see `columns.METRICS`.

    Parameters
    ----------
    gpus
        Of the control and of the variant.
    """
    if experiment is None:
        return {}
    control, variant = arms(served, experiment)
    if not (len(control.arrival_s) and len(variant.arrival_s)):
        return {}
    found = {"experiment_share": len(variant.arrival_s) / (len(control.arrival_s) + len(variant.arrival_s))}
    for metric, difference in differences(control, variant).items():
        name = f"experiment_{metric}"
        value, low, high = difference
        found |= {f"{name}.difference": value, f"{name}.low": low, f"{name}.high": high}
    for label, arm in (("control", control), ("variant", variant)):
        for metric, values in arm.values.items():
            found[f"experiment_{metric}.mean.{label}"] = float(values.mean())
            if metric.endswith("_s"):
                found[f"experiment_{metric}.p99.{label}"] = float(np.quantile(values, 0.99))
    found |= _costs(served.running, control, variant, gpus)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def arms(served: ServedQueries, experiment: RankingExperimentSpec) -> tuple[Arm, Arm]:
    """Return what the queries of control and variant measured: those that count and are answered."""
    division = Division(experiment)
    numbers = served.order
    is_variant = division.is_variant(numbers)
    engaged = division.engaged(numbers, is_variant)
    values = {"latency_s": served.latency_s}
    if engaged is not None:
        values["engagement"] = engaged.astype(float)
    chosen = served.counted & served.finished

    def arm(members: np.ndarray) -> Arm:
        rows = chosen & members
        return Arm(served.arrival_s[rows], {name: column[rows] for name, column in values.items()})

    return arm(~is_variant), arm(is_variant)


def _costs(
    running: RunningCost | None, control: Arm, variant: Arm, gpus: tuple[int, int]
) -> dict[str, float]:
    """Price of each model's own GPUs over its queries, at the rate at which they came."""
    if running is None:
        return {}
    found = {}
    for label, arm, number in (("control", control, gpus[0]), ("variant", variant, gpus[1])):
        usd_per_s, span_s = running.usd_per_s(float(number)), float(np.ptp(arm.arrival_s))
        if usd_per_s is not None and span_s > 0.0:
            rate_per_s = (len(arm.arrival_s) - 1) / span_s
            found[f"experiment_usd_per_million_queries.{label}"] = 1e6 * usd_per_s / rate_per_s
    return found
