"""What a workload would reach with one resource half as fast, twice or four times as fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY
from clustersim.results.attribution import NETWORK_BANDWIDTH
from clustersim.spec.scenario import Scenario
from clustersim.study.radar.elasticity import MEMORY_CAPACITY, with_speed

__all__ = ["FACTORS", "WHAT_IF", "Curve", "curves", "what_if_variants"]

FACTORS = (0.5, 1.0, 2.0, 4.0)
WHAT_IF = (COMPUTE, MEMORY_CAPACITY, MEMORY_BANDWIDTH, NETWORK_BANDWIDTH, NETWORK_LATENCY, HOST)
"""Fields of `cluster.speeds` that are varied."""


@dataclass(frozen=True)
class Curve:
    """How much better a workload does at multiples of one resource.

    Parameters
    ----------
    resource
        Field of `cluster.speeds`.
    gains
        Factor on the resource to the objective over that at factor 1; what cannot run is absent.
    reasons
        Factor to why it cannot run.
    """

    resource: str
    gains: Mapping[float, float]
    reasons: Mapping[float, str]


def what_if_variants(scenario: Scenario) -> dict[tuple[str, float], Scenario]:
    """Return the scenario with each of `WHAT_IF` at each of `FACTORS` but 1, by resource and factor."""
    return {
        (resource, factor): with_speed(scenario, resource, factor)
        for resource in WHAT_IF
        for factor in FACTORS
        if factor != 1.0
    }


def curves(
    now: float, objectives: Mapping[tuple[str, float], float], reasons: Mapping[tuple[str, float], str]
) -> dict[str, Curve]:
    """Return the curve of each resource that was varied.

    Parameters
    ----------
    now
        Objective as things are.
    objectives, reasons
        By resource and factor: what was reached, or why it cannot run.
    """
    found: dict[str, Curve] = {}
    for resource in WHAT_IF:
        gains = {x: value / now for x in FACTORS if (value := objectives.get((resource, x)))}
        why = {x: reasons[resource, x] for x in FACTORS if (resource, x) in reasons}
        if gains or why:
            found[resource] = Curve(resource, dict(sorted({**gains, 1.0: 1.0}.items())), why)
    return found
