"""Spraying: a connection's packets split equally over all equally near next hops."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.topology.routing import Layer

__all__ = ["longest_s", "sprayed"]


def sprayed(layers: Sequence[Layer], start: int) -> dict[int, float]:
    """Return the fraction of the packets on each link, in the order in which links are reached.

    *Equation.* What is at a vertex leaves it in equal parts over its next links, so that at
    every vertex as much leaves as arrives, and every hop carries 1 in all.

    **Source:** Dixit, Prakash, Hu, Kompella: On the impact of packet spraying in data center
    networks, INFOCOM 2013. **Checked by:** tests/topology/test_routing_modes.py.
    """
    weights: dict[int, float] = {}
    here = {start: 1.0}
    for layer in layers:
        ahead: dict[int, float] = {}
        for at, steps in layer:
            part = here[at] / len(steps)
            for other, link in steps:
                weights[link] = part
                ahead[other] = ahead.get(other, 0.0) + part
        here = ahead
    return weights


def longest_s(layers: Sequence[Layer], latency_s: Sequence[float]) -> float:
    """Return the largest sum of link latencies over all paths, in seconds."""
    left: dict[int, float] = {}
    for layer in reversed(layers):
        left = {
            at: max(latency_s[link] + left.get(other, 0.0) for other, link in steps) for at, steps in layer
        }
    return max(left.values(), default=0.0)
