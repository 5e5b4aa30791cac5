"""Ring algorithms: all-reduce, reduce-scatter and all-gather in steps around a cycle.

Rank i sends to rank i + 1 the block that it got in the step before. With N ranks and S bytes,
reduce-scatter and all-gather take N - 1 steps of S/N bytes, all-reduce twice that.

**Source:** Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms, J. Parallel Distrib.
Comput. 69 (2009); channels per NIC: NCCL user guide, NCCL_CROSS_NIC and PXN.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from clustersim.collectives.group import Group
from clustersim.collectives.plan import Connection, Lockstep, Plan

__all__ = ["PASSES", "ring_phase", "ring_plan", "rings"]

PASSES = {"all_reduce": 2, "reduce_scatter": 1, "all_gather": 1}
"""Times that the data goes round."""


def ring_plan(group: Group, kind: str) -> Plan:
    """Plan a collective of `PASSES` on rings over all ranks.

    *Equation.* steps k = passes·(N-1), bytes per step b = S/N:
    ``T = k·max(max_i b/r_i, mean_i(b/r_i + α_i))``; on equal links k·(b/r + α).
    """
    return Plan("ring", "ring", (ring_phase(rings(group), PASSES[kind]),))


def ring_phase(cycles: Sequence[tuple[Connection, ...]], passes: int) -> Lockstep:
    """Return the phase in which the data goes `passes` times round cycles of equal length."""
    ranks = len(cycles[0])
    return Lockstep(tuple(cycles), passes * (ranks - 1), 1.0 / ranks)


def rings(group: Group) -> tuple[tuple[Connection, ...], ...]:
    """Return one ring per channel, each with 1/C of the bytes.

    Inside a node with a switch one ring keeps every port busy; where GPUs are joined directly,
    as many rings as their lanes allow; across nodes one ring per rail.
    """
    if len(group.nodes) > 1:
        return _rail_rings(group)
    orders = group.cycles(0) or [group.gpus]
    return tuple(_cycle(group, order, share=1.0 / len(orders)) for order in orders)


def _cycle(group: Group, order: Sequence[str], *, share: float) -> tuple[Connection, ...]:
    return tuple(group.connect(one, other, share=share) for one, other in pairwise((*order, order[0])))


def _rail_rings(group: Group) -> tuple[tuple[Connection, ...], ...]:
    """Channel c enters each node at the GPU next to NIC c, passes all ranks and leaves by NIC c."""
    channels = len(group.leaders[0])
    return tuple(_rail_ring(group, channel, 1.0 / channels) for channel in range(channels))


def _rail_ring(group: Group, channel: int, share: float) -> tuple[Connection, ...]:
    ring: list[Connection] = []
    for node in range(len(group.nodes)):
        order = group.order(node, channel)
        ring += [group.connect(one, other, share=share) for one, other in pairwise(order)]
        following = group.leaders[(node + 1) % len(group.nodes)][channel]
        relay = order[0] if group.is_scale_up(order[-1], order[0]) else ""
        ring.append(group.connect(order[-1], following, channel=channel, share=share, via=relay))
    return tuple(ring)
