"""Collectives without relays: every message goes straight to its target.

Also the broadcast, which passes the data along a chain of ranks.
"""

from __future__ import annotations

from clustersim.collectives.group import Group
from clustersim.collectives.plan import Connection, Pipelined, Plan
from clustersim.collectives.ring import rings

__all__ = ["all_to_all_plan", "broadcast_plan", "send_recv_plan"]


def all_to_all_plan(group: Group) -> Plan:
    """Plan an all-to-all: each rank sends S/N to every other at once.

    *Equation.* ``T = α + (S/N) / x``, x the pace of one of the N·(N-1) connections.
    """
    ranks = len(group)
    connections = tuple(
        group.connect(one, other, channel=index)
        for index, one in enumerate(group.gpus)
        for other in group.gpus
        if one != other
    )
    return Plan("direct", "direct", (Pipelined(connections, 1.0 / ranks, ((),) * len(connections)),))


def broadcast_plan(group: Group, root: int) -> Plan:
    """Plan a broadcast along each ring from `root`, chunk after chunk.

    *Equation.* ``T = Σ α_i + S / x`` over the N - 1 connections of the chain.
    """
    connections: list[Connection] = []
    feeds: list[tuple[int, ...]] = []
    for ring in rings(group):
        start = next(index for index, connection in enumerate(ring) if connection.source == group.gpus[root])
        chain = (*ring[start:], *ring[:start])[:-1]
        for position, connection in enumerate(chain):
            feeds.append((len(connections) - 1,) if position else ())
            connections.append(connection)
    return Plan("ring", "ring", (Pipelined(tuple(connections), 1.0, tuple(feeds)),))


def send_recv_plan(group: Group, source: int, target: int) -> Plan:
    """Plan one message. *Equation.* ``T = α + S/r``."""
    connection = group.connect(group.gpus[source], group.gpus[target])
    return Plan("direct", "send_recv", (Pipelined((connection,), 1.0, ((),)),))
