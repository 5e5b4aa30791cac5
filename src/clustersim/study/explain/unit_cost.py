"""What a unit of work costs a workload: time of its devices, money, and the latency that users see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

__all__ = ["UnitCost"]

_LATENCIES = ("iteration_s.mean", "latency_s.p99", "tpot_s.p99", "e2e_s.p99")
"""What a workload makes others wait for, by kind: training, ranking services, LLM services."""

_RATES = (("requests_per_s", "request"), ("queries_per_s", "query"), ("samples_per_s", "sample"))
"""Units of work that are the same with every technique; tokens are not, where some are found in a cache."""


@dataclass(frozen=True)
class UnitCost:
    """Of one workload.

    Parameters
    ----------
    unit
        What is counted: a request, a query, a sample.
    device_s
        Seconds of one GPU per unit at full load. *Equation.* GPUs / units per second.
    latency, latency_s
        Name and value of what others wait for at the scenario's own load; empty and 0 where nothing was
        measured.
    usd, joules
        Per unit at the scenario's own load, idle time included; None without a price, or power.
    """

    unit: str
    device_s: float
    latency: str
    latency_s: float
    usd: float | None
    joules: float | None

    @classmethod
    def of(
        cls,
        metrics: Mapping[str, float],
        facts: Mapping[str, float | str],
        *,
        at_full_load: Mapping[str, float] | None = None,
    ) -> Self | None:
        """Return it; None where nothing was done that could be counted.

        Parameters
        ----------
        metrics, facts
            Of the workload as the scenario has it.
        at_full_load
            Metrics of a service that was offered more than it can do; None for what is always at full load.
        """
        rate, unit = next(((name, unit) for name, unit in _RATES if metrics.get(name)), ("", ""))
        full = (metrics if at_full_load is None else at_full_load).get(rate, 0.0)
        if full <= 0.0 or "gpus" not in facts:
            return None
        latency = next((name for name in _LATENCIES if name in metrics), "")
        price_per_h, power_w = metrics.get("price_usd_per_h"), metrics.get("power_w")
        return cls(
            unit=unit,
            device_s=float(facts["gpus"]) / full,
            latency=latency,
            latency_s=metrics.get(latency, 0.0),
            usd=None if price_per_h is None else price_per_h / 3600.0 / metrics[rate],
            joules=None if power_w is None else power_w / metrics[rate],
        )
