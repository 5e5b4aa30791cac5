"""Rings: all-reduce, reduce-scatter and all-gather in steps around a cycle; chains along it.

Rank i sends to rank i + 1 the block that it got in the step before. With N ranks and S bytes,
reduce-scatter and all-gather take N - 1 steps of S/N bytes, all-reduce twice that.

**Source:** Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms, J. Parallel Distrib.
Comput. 69 (2009); channels per NIC: NCCL user guide, NCCL_CROSS_NIC and PXN.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Connection, Payload, Phase, Plan, pipeline

__all__ = [
    "Ring",
    "bidirectional_ring_plans",
    "chain_plans",
    "cycle",
    "ring_phase",
    "ring_plans",
    "rings",
]


class Ring(NamedTuple):
    """A cycle of connections, with the data that goes round it.

    Parameters
    ----------
    connections
        From each member to the next.
    volume
        Bytes that go round, as a fraction of the collective's size.
    owned
        From a member's position to the blocks that end with it (reduce-scatter) or that it begins
        with (all-gather).
    """

    connections: Sequence[Connection]
    volume: float
    owned: Callable[[int], Sequence[int]]


def ring_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-reduce, reduce-scatter or all-gather on rings over all ranks.

    *Equation.* steps k = passes·(N-1), bytes per step b = S/N:
    ``T = k·max(max_i b/r_i, mean_i(b/r_i + α_i))``; on equal links k·(b/r + α).
    """
    return (_plan(group, kind, "ring", rings(group)),)


def bidirectional_ring_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-reduce, reduce-scatter or all-gather on rings that half of the bytes go round backwards.

    *Equation.* As the ring with b = S/(2N): half the bytes per step in each direction,
    ``T = k·max(max_i b/r_i, mean_i(b/r_i + α_i))``. It is twice as fast where the two directions use
    links that one leaves idle (GPUs joined directly); on a switch each port carries both rings.
    """
    both = (*rings(group), *rings(group, direction=-1))
    return (_plan(group, kind, "bidirectional-ring", both),)


def _plan(group: Group, kind: Kind, name: str, around: Sequence[Sequence[Connection]]) -> Plan:
    parts = len(around)
    found = [
        Ring(ring, 1 / parts, _blocks_of_ranks(group, ring, part, parts)) for part, ring in enumerate(around)
    ]
    phase = ring_phase(found, reduces=kind.name != "all_gather", gathers=kind.name != "reduce_scatter")
    return Plan(name, "ring", (phase,), len(group) * parts)


def _blocks_of_ranks(
    group: Group, ring: Sequence[Connection], part: int, parts: int
) -> Callable[[int], Sequence[int]]:
    """Part `part` of the blocks of each rank, for a ring over all of them."""
    return lambda position: (group.rank[ring[position].source] * parts + part,)


def ring_phase(found: Sequence[Ring], *, reduces: bool, gathers: bool) -> Phase:
    """Return the phase in which data goes round rings side by side: reduced, gathered, or both.

    A member sends in step s of a reduction the block that belongs s + 1 members before it, in step
    s of a gathering the one that belongs s members before it.
    """
    connections: list[Connection] = []
    volumes: list[float] = []
    messages: list[int] = []
    feeds: list[tuple[int, ...]] = []
    firsts: list[int] = []
    for ring in found:
        first, size = len(connections), len(ring.connections)
        steps = (reduces + gathers) * (size - 1)
        connections += ring.connections
        volumes += [ring.volume * steps / size] * size
        messages += [steps] * size
        feeds += [(first + size - 1,), *((index,) for index in range(first, first + size - 1))]
        firsts.append(first)

    def carries(index: int, step: int) -> Payload:
        number = bisect_right(firsts, index) - 1
        ring, position = found[number], index - firsts[number]
        size = len(ring.connections)
        reducing = reduces and step < size - 1
        behind = step + 1 if reducing else step - reduces * (size - 1)
        return Payload(ring.owned((position - behind) % size), reducing)

    return Phase(tuple(connections), volumes, messages, feeds, 1, carries)


def rings(group: Group, *, direction: int = 1) -> tuple[tuple[Connection, ...], ...]:
    """Return one ring per channel; with `direction` -1 they go the other way round.

    Inside a node with a switch one ring keeps every port busy; where GPUs are joined directly,
    as many rings as their lanes allow; across nodes one ring per rail.
    """
    if len(group.nodes) > 1:
        return tuple(_rail_ring(group, channel, direction) for channel in range(len(group.leaders[0])))
    orders = group.cycles(0) or [group.gpus]
    channels = group.channels or len(orders)
    return tuple(cycle(group, orders[channel % len(orders)][::direction]) for channel in range(channels))


def cycle(group: Group, order: Sequence[str], *, channel: int = 0) -> tuple[Connection, ...]:
    """Return the connections from each vertex to the next, and from the last to the first."""
    return tuple(group.connect(one, other, channel=channel) for one, other in pairwise((*order, order[0])))


def _rail_ring(group: Group, channel: int, direction: int) -> tuple[Connection, ...]:
    """Channel c enters each node at the GPU next to NIC c, passes all ranks and leaves by NIC c."""
    connect, nodes = group.connect, range(len(group.nodes))[::direction]
    ring: list[Connection] = []
    for place, node in enumerate(nodes):
        first, *others = group.order(node, channel)
        order = (first, *others[::direction])
        ring += [connect(one, other) for one, other in pairwise(order)]
        following = group.leaders[nodes[(place + 1) % len(nodes)]][channel]
        relay = first if others and group.is_scale_up(order[-1], first) else ""
        ring.append(connect(order[-1], following, channel=channel, via=relay))
    return tuple(ring)


def chain_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan a broadcast or reduction along each ring, chunk after chunk, from or to the root.

    *Equation.* ``T = Σ α_i + S / x`` over the N - 1 connections of the chain.
    """
    root = group.gpus[kind.root]
    around = rings(group)
    reduces = kind.name == "reduce"
    connections: list[Connection] = []
    feeds: list[tuple[int, ...]] = []
    for ring in around:
        start = next(index for index, connection in enumerate(ring) if connection.source == root)
        turned = (*ring[start:], *ring[:start])
        chain = turned[1:] if reduces else turned[:-1]
        for position, connection in enumerate(chain):
            feeds.append((len(connections) - 1,) if position else ())
            connections.append(connection)
    length, parts = len(group) - 1, len(around)
    phase = pipeline(
        connections,
        [1 / parts] * len(connections),
        feeds,
        lambda index, _: Payload((index // length,), reduces),
        chunks=group.chunks,
    )
    return (Plan("ring", "ring", (phase,), parts),)
