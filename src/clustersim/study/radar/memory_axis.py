"""What memory capacity is worth: who holds the footprint, who does the work, and what a tenth more brings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clustersim.errors import ClusterSimError
from clustersim.spec.demand import scaled_load
from clustersim.spec.inference import InferenceSpec
from clustersim.spec.scenario import Scenario
from clustersim.spec.training import TrainingSpec
from clustersim.study.radar.elasticity import MEMORY_CAPACITY, with_speed
from clustersim.study.radar.needs import Need
from clustersim.study.radar.workload import Subject
from clustersim.study.records import RunRecord

__all__ = ["CAPACITIES", "MemoryAxis", "ShadowPrice", "memory_axis", "memory_variants", "shadow_price"]

CAPACITIES = (0.9, 1.0, 1.1)
"""Factors on the memory of every device that the plan is made anew for."""

_AS_IT_IS = "as it is"
_LOADS = (0.8, 0.87, 0.93, 1.07, 1.15, 1.25)
"""Factors on the load of a service, to find how much a cache of another size lets it take."""
_ATTAINMENT = 0.99
_RECOMPUTE = ("none", "selective", "full")


@dataclass(frozen=True, kw_only=True)
class MemoryAxis:
    """Devices that a workload needs for what it keeps, and for what it does.

    Parameters
    ----------
    devices_for_memory
        *Equation.* gpus · footprint / memory: devices that are full.
    devices_for_speed
        *Equation.* gpus · max(arithmetic, memory traffic over what the devices could do at most):
        devices that are busy all the time.
    """

    devices_for_memory: float
    devices_for_speed: float

    @property
    def pressure(self) -> float:
        """Devices for memory over devices for speed: above 1, devices are bought for their memory."""
        return self.devices_for_memory / self.devices_for_speed


def memory_axis(need: Need) -> MemoryAxis | None:
    """Return what memory asks for beside speed; None where footprint or utilisation are not known.

    **Valid when** all GPUs are alike and the fullest stands for all.
    **Checked by:** tests/study/test_memory_axis.py.
    """
    busiest = max(need.compute_utilization or 0.0, need.memory_utilization or 0.0)
    if need.memory_fill is None or not busiest:
        return None
    return MemoryAxis(devices_for_memory=need.gpus * need.memory_fill, devices_for_speed=need.gpus * busiest)


Variant = tuple[float, str]
"""Factor on the memory, and how the workload is planned for it."""


def memory_variants(subject: Subject) -> dict[Variant, Scenario]:
    """Return the scenario with a tenth less memory, with as much as it has and with more, planned anew.

    Plans of a training job differ in micro-batch and recomputation, at the same global batch; those of
    a service with objectives in the load that it takes. The slots of its cache follow from the memory, and
    so does the division of embedding tables. Plans that the scenario refuses are left out; those
    that do not fit fail when they run.
    """
    plans = dict(_plans(subject))
    return {
        (capacity, name): with_speed(scenario, MEMORY_CAPACITY, capacity)
        for capacity in CAPACITIES
        for name, scenario in plans.items()
    }


def _plans(subject: Subject) -> Iterator[tuple[str, Scenario]]:
    yield _AS_IT_IS, subject.scenario
    spec, path = subject.spec, f"workloads.{subject.workload}"
    if isinstance(spec, TrainingSpec):
        sizes = {spec.micro_batch, 2 * spec.micro_batch, max(1, spec.micro_batch // 2)}
        for size in sorted(sizes):
            for recompute in _RECOMPUTE:
                if (size, recompute) != (spec.micro_batch, spec.recompute):
                    changes = {f"{path}.micro_batch": size, f"{path}.recompute": recompute}
                    yield from _changed(
                        subject.scenario, f"micro-batch {size}, recompute {recompute}", changes
                    )
    elif isinstance(spec, InferenceSpec) and spec.slo != type(spec.slo)():
        for factor in _LOADS:
            yield f"load x {factor:g}", _loaded(subject.scenario, spec, factor)


def _changed(scenario: Scenario, name: str, changes: Mapping[str, object]) -> Iterator[tuple[str, Scenario]]:
    try:
        yield name, scenario.with_(**changes)
    except ClusterSimError:
        return


def _loaded(scenario: Scenario, spec: InferenceSpec, factor: float) -> Scenario:
    workloads = tuple(
        scaled_load(each, factor) if isinstance(each, InferenceSpec) and each.name == spec.name else each
        for each in scenario.workloads
    )
    return scenario.model_copy(update={"workloads": workloads})


@dataclass(frozen=True, kw_only=True)
class ShadowPrice:
    """What memory is worth to the objective.

    Parameters
    ----------
    objectives
        Factor on the memory to the best that a plan reached there; factors at which nothing fits are absent.
    plans
        Factor on the memory to the name of that plan.
    """

    objectives: Mapping[float, float]
    plans: Mapping[float, str]

    @property
    def elasticity(self) -> float | None:
        """Percent of the objective per percent of memory; None where a tenth less does not fit."""
        low, high = (self.objectives.get(factor) for factor in (CAPACITIES[0], CAPACITIES[-1]))
        return math.log(high / low) / math.log(CAPACITIES[-1] / CAPACITIES[0]) if low and high else None


def shadow_price(subject: Subject, records: Mapping[Variant, RunRecord]) -> ShadowPrice:
    """Return the best that any plan reached with each size of memory.

    *Equation.* π = ∂ln O*/∂ln capacity, O* = most units of work per second of all plans that fit and keep
    the objectives: the Lagrange multiplier of the memory in relative terms, as a central difference over
    ±10 %.

    Parameters
    ----------
    records
        Of the variants of `memory_variants`.

    **Valid when** the best plan is among those that are tried.
    **Checked by:** tests/study/test_memory_axis.py.
    """
    least = _least_attainment(subject, records.get((1.0, _AS_IT_IS)))
    objectives: dict[float, float] = {}
    plans: dict[float, str] = {}
    for (capacity, plan), record in records.items():
        reached = record.metrics.get(subject.workload, {}).get("work.units_per_s")
        if reached is None or _attainment(subject, record) < least:
            continue
        if reached > objectives.get(capacity, 0.0) * (1.0 + 1e-9):
            objectives[capacity], plans[capacity] = reached, plan
    return ShadowPrice(objectives=objectives, plans=plans)


def _least_attainment(subject: Subject, base: RunRecord | None) -> float:
    """Return the share of requests that have to keep the objectives; no more than keep them as it is."""
    return min(_ATTAINMENT, 1.0 if base is None else _attainment(subject, base))


def _attainment(subject: Subject, record: RunRecord) -> float:
    return record.metrics.get(subject.workload, {}).get("slo_attainment", 1.0)
