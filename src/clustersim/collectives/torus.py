"""Collectives on a torus: rings along one dimension after another, in all dimensions at once.

The bytes are divided into twice as many parts as there are dimensions. Each part goes along the
dimensions in an order of its own, rotated against the others', and each pair of parts goes both ways
round, so that all links of all dimensions work in all phases.

**Source:** the bucket algorithms of Jain and Sabharwal, Optimal bucket algorithms for large MPI
collectives on torus interconnects (ICS 2010); Sack and Gropp, Collective algorithms for multiported
torus networks (2015); multi-dimensional all-reduce of TPU pods, Kumar et al. (2020).
"""

from __future__ import annotations

from math import prod

import numpy as np

from clustersim.collectives.grid import Grid, Part, axis_phases
from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import NotApplicableError, Plan

__all__ = ["torus_plans"]


def torus_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-reduce, reduce-scatter or all-gather on a torus.

    *Equation.* On a cube of D dimensions of n ranks with link rate r, all-reduce:
    ``T = 2·D·(n-1)·α + 2·(N-1)/N·S/(2·D·r)``: all 2D links of a rank carry the bytes.

    **Valid when** parts of the bytes wait for each other between dimensions.

    Raises
    ------
    NotApplicableError
        Where the GPUs have no coordinates, or do not fill a box.
    """
    grid = Grid(group, _ranks(group))
    dimensions = grid.ranks.ndim
    orders = [tuple((first + axis) % dimensions for axis in range(dimensions)) for first in range(dimensions)]
    parts = [Part(order, direction) for order in orders for direction in (1, -1)]
    return (Plan("torus", "ring", axis_phases(grid, kind, parts), len(group) * len(parts)),)


def _ranks(group: Group) -> np.ndarray:
    """Ranks by coordinates, without the dimensions in which all agree."""
    places = [group.topology.coordinates(gpu) for gpu in group.gpus]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        raise NotApplicableError("a torus needs GPUs with coordinates, as those of a torus or hypercube have")
    axes = [sorted(set(values)) for values in zip(*known, strict=True)]
    index = [{value: place for place, value in enumerate(values)} for values in axes]
    shape = tuple(map(len, axes))
    ranks = np.full(shape, -1)
    for rank, place in enumerate(known):
        ranks[tuple(where[value] for where, value in zip(index, place, strict=True))] = rank
    if prod(shape) != len(places) or ranks.min() < 0:
        raise NotApplicableError(
            f"a torus needs GPUs that fill a box; {len(places)} GPUs lie in one of "
            + " × ".join(map(str, shape))
        )
    return ranks.reshape([length for length in shape if length > 1] or [1])
