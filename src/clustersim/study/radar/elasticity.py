"""Elasticities by resource: the shares of a critical path, and scenarios with one resource faster."""

from __future__ import annotations

import math
from collections.abc import Mapping

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, QUEUEING, STORAGE
from clustersim.results.attribution import NETWORK_BANDWIDTH, by_class
from clustersim.spec.scenario import Scenario

__all__ = ["MEMORY_CAPACITY", "RESOURCES", "elasticities", "waiting_share", "with_speed"]

MEMORY_CAPACITY = "memory_capacity"
"""The one resource that no time belongs to; a field of `cluster.speeds`, too."""
RESOURCES = (COMPUTE, MEMORY_BANDWIDTH, NETWORK_BANDWIDTH, NETWORK_LATENCY, HOST)
"""Resources that make a second pass sooner; fields of `cluster.speeds`."""


def elasticities(attribution: Mapping[str, float]) -> dict[str, float]:
    """Return by how many percent a workload gets faster for each percent of a resource's speed.

    *Equation.* Let T(s) be the time of a step or request at speeds s. Every second on its critical path
    shrinks with one resource, so T(s/k) = k·T(s); by Euler's theorem Σ_r -∂ln T/∂ln s_r = 1, and
    -∂ln T/∂ln s_r is the share of r on the critical path. What is left of waiting (for samples of other
    requests, for a batch to fill) is divided over the resources in proportion.

    Parameters
    ----------
    attribution
        Shares by resource (`network_bandwidth:<link>`) or by class, as an outcome has them.

    Returns
    -------
    dict
        Every one of `RESOURCES`, and `storage` where it has a share; they add up to 1, or are all 0
        where nothing but waiting is known.

    **Valid when** no other chain of activities becomes the longer one for small changes.
    **Checked by:** tests/study/test_radar_reruns.py, against runs with each resource 5 % slower and faster.
    """
    shares = by_class(attribution)
    own = {name: shares.get(name, 0.0) for name in RESOURCES}
    if shares.get(STORAGE):
        own[STORAGE] = shares[STORAGE]
    total = math.fsum(own.values())
    return {name: share / total if total > 0.0 else 0.0 for name, share in own.items()}


def waiting_share(attribution: Mapping[str, float]) -> float:
    """Return the part of the time in which no resource was busy for it: batches that fill, idle gaps."""
    return by_class(attribution).get(QUEUEING, 0.0)


def with_speed(scenario: Scenario, resource: str, factor: float) -> Scenario:
    """Return the scenario with a resource of its cluster so many times as fast (or as large) as it is there.

    Parameters
    ----------
    resource
        A field of `cluster.speeds`.
    """
    speeds = scenario.cluster.speeds
    changed = speeds.model_copy(update={resource: getattr(speeds, resource) * factor})
    cluster = scenario.cluster.model_copy(update={"speeds": changed})
    return scenario.model_copy(update={"cluster": cluster})
