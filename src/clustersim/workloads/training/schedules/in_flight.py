"""What a schedule keeps: micro-batches whose forward pass waits for its backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clustersim.workloads.training.schedules.passes import Order

__all__ = ["InFlight", "in_flight", "stash"]


class InFlight(NamedTuple):
    """Micro-batches that a stage keeps activations of at one time.

    Parameters
    ----------
    backward
        Per chunk, those whose backward pass is to come or running.
    weight
        Per chunk, those of which only the weight pass is to come or running.
    """

    backward: tuple[int, ...]
    weight: tuple[int, ...]


def in_flight(order: Order, *, chunks: int) -> frozenset[InFlight]:
    """Return all that a stage keeps at some time while a forward pass runs; few of many are distinct.

    Activations live from the start of the forward pass to the end of the backward pass or, where there is
    one, of the weight pass.
    """
    weighs = any(item.kind == "weight" for item in order)
    backward, weight = [0] * chunks, [0] * chunks
    found = set()
    for item in order:
        if item.kind == "forward":
            backward[item.chunk] += 1
            found.add(InFlight(tuple(backward), tuple(weight)))
        elif item.kind == "backward":
            backward[item.chunk] -= 1
            weight[item.chunk] += weighs
        else:
            weight[item.chunk] -= 1
    return frozenset(found)


def stash(orders: Sequence[Order]) -> tuple[int, ...]:
    """Return for every stage the largest number of micro-batches and chunks in flight together."""
    chunks = 1 + max((item.chunk for order in orders for item in order), default=0)
    return tuple(
        max((sum(kept.backward) + sum(kept.weight) for kept in in_flight(order, chunks=chunks)), default=0)
        for order in orders
    )
