"""The same demand at another rate: what a study of a service's capacity varies."""

from __future__ import annotations

from typing import TypeVar

from clustersim.errors import InputError
from clustersim.spec.arrivals import (
    ArrivalsSpec,
    ClientArrivals,
    ClosedLoopArrivals,
    SessionArrivals,
    TraceArrivals,
)
from clustersim.spec.inference import InferenceSpec
from clustersim.spec.ranking.inference import QueryArrivalsSpec, QueryTraceArrivals, RankingInferenceSpec

__all__ = ["scaled_arrivals", "scaled_load"]

Service = TypeVar("Service", bound=InferenceSpec | RankingInferenceSpec)
Arrivals = TypeVar("Arrivals", ArrivalsSpec, QueryArrivalsSpec)


def scaled_load(spec: Service, factor: float) -> Service:
    """Return the service with `factor` times the load, of all tenants alike.

    Rates are multiplied, gaps of a trace divided, and clients of a closed loop multiplied and
    rounded (to at least one). Random draws stay the same: the n-th gap and the n-th lengths of a
    stream are those of every other factor (common random numbers), so that answers to two factors
    differ by the load alone. `requests` and `duration` stay, too.

    Raises
    ------
    InputError
        For a factor that is not positive.

    **Checked by:** tests/workloads/test_inference_demand.py.
    """
    if not 0.0 < factor < float("inf"):
        raise InputError(f"a load is scaled by a positive number, got {factor}")
    if isinstance(spec, RankingInferenceSpec):
        return spec.model_copy(update={"arrivals": scaled_arrivals(spec.arrivals, factor)})
    tenants = tuple(
        tenant.model_copy(update={"arrivals": scaled_arrivals(tenant.arrivals, factor)})
        for tenant in spec.tenants
    )
    arrivals = None if spec.arrivals is None else scaled_arrivals(spec.arrivals, factor)
    given = {"arrivals": arrivals, "tenants": tenants}
    return spec.model_copy(update={name: value for name, value in given.items() if value})


def scaled_arrivals(arrivals: Arrivals, factor: float) -> Arrivals:
    """Return arrivals of `factor` times the rate."""
    if isinstance(arrivals, ClosedLoopArrivals):
        return arrivals.model_copy(update={"clients": max(1, round(arrivals.clients * factor))})
    if isinstance(arrivals, SessionArrivals):
        starts = arrivals.starts.model_copy(update={"rate": arrivals.starts.rate * factor})
        return arrivals.model_copy(update={"starts": starts})
    if isinstance(arrivals, ClientArrivals | TraceArrivals | QueryTraceArrivals):
        return arrivals.model_copy(update={"rate_scale": arrivals.rate_scale * factor})
    return arrivals.model_copy(update={"rate": arrivals.rate * factor})
