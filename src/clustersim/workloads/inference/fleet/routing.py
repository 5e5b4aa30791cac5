"""The router of each policy."""

from __future__ import annotations

import numpy as np

from clustersim.spec.routing import RoutingPolicy
from clustersim.workloads.inference.fleet.load_board import LoadBoard
from clustersim.workloads.inference.fleet.prefix_router import PrefixAware
from clustersim.workloads.inference.fleet.session_router import SessionAffinity
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.serving.router import Router, router_by_load

__all__ = ["make_router"]


def make_router(
    policy: RoutingPolicy, *, replicas: int, kv_tokens: int, rng: np.random.Generator
) -> Router[Request, LoadBoard]:
    """Make the router of a policy.

    Parameters
    ----------
    replicas, kv_tokens
        Places of the pool, and what their KV caches hold together.
    rng
        Drawn from by `random` and `power-of-two` alone.
    """
    if policy == "prefix-aware":
        return PrefixAware(replicas=replicas, kv_tokens=kv_tokens)
    if policy == "session-affinity":
        return SessionAffinity(replicas=replicas)
    return router_by_load(policy, rng)
