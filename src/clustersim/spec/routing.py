"""How a service chooses the replica that gets a request."""

from __future__ import annotations

from typing import Literal

__all__ = ["RoutingPolicy"]

RoutingPolicy = Literal[
    "round-robin",
    "random",
    "least-outstanding",
    "shortest-queue",
    "power-of-two",
    "prefix-aware",
    "session-affinity",
]
