"""Switches, or chips that forward, with coordinates: products of lines, rings and full meshes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import networkx as nx

from clustersim.errors import InputError, Problem
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect_nic, connect_switches

__all__ = ["Axis", "build_grid"]

Coordinates = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One dimension of a grid.

    Parameters
    ----------
    size
        Places along it.
    tier
        Tier of its links.
    pairs
        Places that are joined.
    share
        Bandwidth of its links in links of the fabric.
    symmetric
        Whether every link of it is like every other, as in a ring and in a full mesh.
    """

    size: int
    tier: str
    pairs: tuple[tuple[int, int], ...]
    share: float = 1.0
    symmetric: bool = True


def build_grid(
    axes: Sequence[Axis], *, node: NodeTemplate, nodes_per_switch: int, via: ScaleOut
) -> nx.MultiDiGraph[str]:
    """Return a grid of switches `switchX.Y…` with nodes on them, or of chips that forward.

    GPUs and switches carry `coordinates`; those of a GPU end with its place on its switch
    where there are several. The graph carries its `dimensions`, and `symmetric` where every
    link of a tier is like every other.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    sizes = tuple(axis.size for axis in axes)
    if node.chip_grid:
        at = _place_chips(graph, sizes, node=node, nodes_per_switch=nodes_per_switch)
    else:
        at = _place_nodes(graph, sizes, node=node, nodes_per_switch=nodes_per_switch, via=via)
    for one, other, axis in _joined(axes):
        connect_switches(graph, at[one], at[other], via=via, share=axis.share, tier=axis.tier)
    graph.graph["symmetric"] = all(axis.symmetric for axis in axes)
    return graph


def _joined(axes: Sequence[Axis]) -> Iterator[tuple[Coordinates, Coordinates, Axis]]:
    for n, axis in enumerate(axes):
        places = [range(other.size) if m != n else (0,) for m, other in enumerate(axes)]
        for at in itertools.product(*places):
            for one, other in axis.pairs:
                yield (*at[:n], one, *at[n + 1 :]), (*at[:n], other, *at[n + 1 :]), axis


def _place_nodes(
    graph: nx.MultiDiGraph[str],
    sizes: Coordinates,
    *,
    node: NodeTemplate,
    nodes_per_switch: int,
    via: ScaleOut,
) -> dict[Coordinates, str]:
    """Add a switch at every place, with its nodes; return the switches."""
    numbers = itertools.count()
    on_switch = nodes_per_switch * len(node.gpus)
    graph.graph["dimensions"] = (*sizes, on_switch) if on_switch > 1 else sizes
    switches = {at: f"switch{'.'.join(map(str, at))}" for at in itertools.product(*map(range, sizes))}
    for at, switch in switches.items():
        add_switches(graph, [switch], level=1)
        graph.nodes[switch]["coordinates"] = at
        places = itertools.count()
        for number in itertools.islice(numbers, nodes_per_switch):
            for nic in node.add(graph, f"node{number}"):
                connect_nic(graph, nic, switch, via=via)
            for gpu in node.gpus:
                place = (next(places),) if on_switch > 1 else ()
                graph.nodes[f"node{number}/{gpu}"]["coordinates"] = (*at, *place)
    return switches


def _place_chips(
    graph: nx.MultiDiGraph[str], sizes: Coordinates, *, node: NodeTemplate, nodes_per_switch: int
) -> dict[Coordinates, str]:
    """Add a block of chips per host; return the chips, which forward what is not for them."""
    if nodes_per_switch != 1:
        message = f"a chip of '{node.name}' forwards itself and has no switch; leave it out"
        raise InputError(Problem(("topology", "nodes_per_switch"), message))
    block = _block(node, sizes)
    graph.graph["dimensions"] = sizes
    chips: dict[Coordinates, str] = {}
    corners = itertools.product(*(range(0, size, step) for size, step in zip(sizes, block, strict=True)))
    for number, corner in enumerate(corners):
        node.add(graph, f"node{number}")
        for gpu, offset in zip(node.gpus, itertools.product(*map(range, block)), strict=True):
            at = tuple(low + step for low, step in zip(corner, offset, strict=True))
            chips[at] = f"node{number}/{gpu}"
            graph.nodes[chips[at]].update(coordinates=at, forwards=True)
    return chips


def _block(node: NodeTemplate, sizes: Coordinates) -> Coordinates:
    """Return the shape of one host's chips in as many dimensions as the grid has."""
    grid = (*node.chip_grid, *(1 for _ in sizes))
    block, rest = grid[: len(sizes)], grid[len(sizes) :]
    if math.prod(rest) > 1 or any(size % step for size, step in zip(sizes, block, strict=True)):
        shape = " × ".join(map(str, node.chip_grid))
        raise InputError(
            Problem(
                ("topology", "dimensions"),
                f"{' × '.join(map(str, sizes))} is not made of hosts of '{node.name}', {shape} chips each; "
                "expected a multiple of each",
            )
        )
    return block
