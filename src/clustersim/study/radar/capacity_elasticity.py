"""Elasticities of a service's capacity: the highest load that keeps its objectives, resource by resource."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clustersim.errors import CannotRunError, InputError
from clustersim.spec.arrivals import ClosedLoopArrivals
from clustersim.spec.scenario import Scenario
from clustersim.study.capacity.configuration import Configuration, configurations
from clustersim.study.capacity.point import point_of
from clustersim.study.capacity.service import ServiceSpec, latencies_of, share_of
from clustersim.study.executor import usable_cores
from clustersim.study.radar.elasticity import RESOURCES, with_speed
from clustersim.study.radar.reruns import STEP
from clustersim.study.records import RunStore
from clustersim.study.running import run_all

__all__ = ["SLO", "CapacityElasticity", "capacity_elasticity", "has_capacity"]

SLO = "slo"
"""Key of the objectives themselves: how much more load goes with objectives that are looser."""

_OUTWARDS = 1.25
_TRIES = 40


@dataclass(frozen=True, kw_only=True)
class CapacityElasticity:
    """What the capacity of a service depends on.

    Parameters
    ----------
    factor
        On the load of the scenario: the highest that keeps the objectives.
    elasticities
        Percent of capacity per percent of speed, of each of `RESOURCES`.
    slo
        Percent of capacity per percent by which the objectives are looser.
    """

    factor: float
    elasticities: Mapping[str, float]
    slo: float

    @property
    def total(self) -> float:
        """Sum over the resources: 1 + `slo`, as all speeds together change nothing but the clock."""
        return math.fsum(self.elasticities.values())

    @property
    def shares(self) -> dict[str, float]:
        """The elasticities over their sum, to be held beside the shares of the time of requests."""
        return {name: each / self.total for name, each in self.elasticities.items()}


def capacity_elasticity(
    scenario: Scenario,
    *,
    service: str | None = None,
    attainment: float | None = None,
    tolerance: float = 0.002,
    jobs: int | None = None,
    store: RunStore | Path | str | None = None,
) -> CapacityElasticity:
    """Measure how the highest load that keeps the objectives changes with each resource.

    *Equation.* Let C(s, L) be the capacity at speeds s and limits L. Speeds k times as high and limits k
    times as short are the same run on another clock: C(k·s, L/k) = k·C(s, L). By Euler's theorem
    Σ_r ∂ln C/∂ln s_r = 1 + ∂ln C/∂ln L. Each term is a central difference over ±5 %, all with the same
    random numbers.

    Parameters
    ----------
    service
        Its name; default: the only one of the scenario.
    attainment
        Share of requests that have to keep the objectives. Default: what the service promises, else 0.99.
    tolerance
        Relative width at which the search of a load ends.
    jobs, store
        As `clustersim.study.capacity.capacity` takes them.

    Raises
    ------
    InputError
        For a scenario without such a service, or without objectives, and for clients in a closed loop,
        whose number cannot be changed by less than one.
    CannotRunError
        If the service cannot run, or keeps its objectives at no load.

    **Valid when** the run is long against the time that a queue takes to build up.
    **Checked by:** tests/study/test_capacity_elasticity.py.
    """
    (base,) = configurations(scenario, service=service, vary={})
    if _is_closed(base.spec):
        raise InputError(
            f"'{base.service}' has a fixed number of clients; give it arrivals of a rate to find its capacity"
        )
    wanted = share_of(base.spec) if attainment is None else attainment
    search = _Search(
        wanted,
        tolerance=tolerance,
        jobs=usable_cores() if jobs is None else jobs,
        store=RunStore(store) if isinstance(store, Path | str) else store,
    )
    (factor,) = search.capacities([base], start=1.0)
    found = search.capacities(list(_variants(base).values()), start=factor)
    by_variant = dict(zip(_variants(base), found, strict=True))
    slopes = {
        name: math.log(by_variant[name, 1.0 + STEP] / by_variant[name, 1.0 - STEP])
        / math.log((1.0 + STEP) / (1.0 - STEP))
        for name in (*RESOURCES, SLO)
    }
    slo = slopes.pop(SLO)
    return CapacityElasticity(factor=factor, elasticities=slopes, slo=slo)


def has_capacity(scenario: Scenario, workload: str) -> bool:
    """Return whether a workload is a service with objectives whose load can be searched."""
    spec = next(spec for spec in scenario.workloads if spec.name == workload)
    if not isinstance(spec, ServiceSpec) or _is_closed(spec):
        return False
    return any(latency.limit_s is not None for latency in latencies_of(spec))


def _is_closed(spec: ServiceSpec) -> bool:
    tenants = getattr(spec, "tenants", ())
    return any(isinstance(each.arrivals, ClosedLoopArrivals) for each in (spec, *tenants))


def _variants(base: Configuration) -> dict[tuple[str, float], Configuration]:
    """Return the service with each resource slower and faster, and its limits shorter and longer."""
    assert base.scenario is not None
    scenario, name = base.scenario, base.service
    factors = (1.0 - STEP, 1.0 + STEP)
    found = {
        (resource, factor): with_speed(scenario, resource, factor)
        for resource in RESOURCES
        for factor in factors
    }
    found |= {(SLO, factor): _with_limits(scenario, name, factor) for factor in factors}
    return {key: Configuration(str(key), {}, name, each) for key, each in found.items()}


def _with_limits(scenario: Scenario, service: str, factor: float) -> Scenario:
    """Return the scenario with all limits of a service multiplied."""
    workloads = []
    for spec in scenario.workloads:
        if isinstance(spec, ServiceSpec) and spec.name == service:
            limits = {
                name: getattr(spec.slo, name)
                for name in ("ttft", "tpot", "e2e", "latency")
                if hasattr(spec.slo, name)
            }
            longer = {name: factor * limit for name, limit in limits.items() if limit is not None}
            spec = spec.model_copy(update={"slo": spec.slo.model_copy(update=longer)})
        workloads.append(spec)
    return scenario.model_copy(update={"workloads": tuple(workloads)})


class _Search:
    """Finds the capacities of several variants side by side, by halving intervals of the load."""

    def __init__(self, attainment: float, *, tolerance: float, jobs: int, store: RunStore | None) -> None:
        self._attainment = attainment
        self._tolerance = tolerance
        self._jobs = jobs
        self._store = store

    def capacities(self, variants: Sequence[Configuration], *, start: float) -> list[float]:
        """Return the highest load of each that is kept, searched from `start` on."""
        kept = [0.0] * len(variants)
        missed = [math.inf] * len(variants)
        for _ in range(_TRIES):
            asked = {
                place: load
                for place in range(len(variants))
                if (load := self._next(kept[place], missed[place], start)) is not None
            }
            if not asked:
                return [math.sqrt(low * high) for low, high in zip(kept, missed, strict=True)]
            for place, is_kept in zip(asked, self._run(variants, asked), strict=True):
                (kept if is_kept else missed)[place] = asked[place]
        raise CannotRunError(f"'{variants[0].service}' keeps its objectives at no load, or at every load")

    def _next(self, kept: float, missed: float, start: float) -> float | None:
        if not kept and math.isinf(missed):
            return start
        if not kept:
            return missed / _OUTWARDS
        if math.isinf(missed):
            return kept * _OUTWARDS
        return None if missed <= kept * (1.0 + self._tolerance) else math.sqrt(kept * missed)

    def _run(self, variants: Sequence[Configuration], asked: Mapping[int, float]) -> list[bool]:
        scenarios = []
        for place, load in asked.items():
            scenario = variants[place].scenario
            assert scenario is not None
            scenarios.append(variants[place].at(load, scenario.seed))
        records = run_all(scenarios, jobs=self._jobs, store=self._store, report=lambda *_: None)
        kept = []
        for place, record in zip(asked, records, strict=True):
            if record.error:
                raise CannotRunError(record.error)
            metrics = record.metrics[variants[place].service]
            kept.append(point_of(asked[place], [metrics], attainment=self._attainment).kept)
        return kept
