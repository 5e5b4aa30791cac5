"""Elasticities measured: the same scenario with each resource a little slower and a little faster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.spec.scenario import Scenario
from clustersim.study.radar.elasticity import RESOURCES, with_speed

__all__ = ["STEP", "Measured", "measured", "rerun_variants"]

STEP = 0.05
"""Relative change of a resource's speed in a rerun, up and down."""


@dataclass(frozen=True)
class Measured:
    """The elasticity of an objective to the speed of one resource, from two reruns.

    Parameters
    ----------
    elasticity
        Central difference in logarithms.
    below, above
        From the slower rerun to the scenario itself, and from there to the faster one. Where they
        differ, the bottleneck changes within the step.
    """

    elasticity: float
    below: float
    above: float

    @property
    def switches(self) -> bool:
        """Whether a bottleneck changes within the step: the slopes on both sides differ by over 0.1."""
        return abs(self.above - self.below) > 0.1


def rerun_variants(scenario: Scenario) -> dict[tuple[str, float], Scenario]:
    """Return the scenario with each resource slower and faster by `STEP`, by (resource, factor).

    All have the scenario's seed: common random numbers.
    """
    return {
        (resource, factor): with_speed(scenario, resource, factor)
        for resource in RESOURCES
        for factor in (1.0 - STEP, 1.0 + STEP)
    }


def measured(objectives: Mapping[tuple[str, float], float], *, base: float) -> dict[str, Measured]:
    """Return the elasticity of an objective to each resource.

    *Equation.* (ln O(1 + h) - ln O(1 - h)) / (ln(1 + h) - ln(1 - h)), h = `STEP`.

    Parameters
    ----------
    objectives
        What the variants of `rerun_variants` reached, larger being better; those that reached nothing
        are not there, nor is their resource in the answer.
    base
        What the scenario itself reached.
    """
    found: dict[str, Measured] = {}
    for resource in dict.fromkeys(name for name, _ in objectives):
        slow, fast = (objectives.get((resource, factor), 0.0) for factor in (1.0 - STEP, 1.0 + STEP))
        if slow > 0.0 and fast > 0.0 and base > 0.0:
            found[resource] = Measured(
                elasticity=math.log(fast / slow) / math.log((1.0 + STEP) / (1.0 - STEP)),
                below=math.log(slow / base) / math.log(1.0 - STEP),
                above=math.log(fast / base) / math.log(1.0 + STEP),
            )
    return found
