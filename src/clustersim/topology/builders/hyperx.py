"""HyperX: along each dimension every switch is joined to every other."""

from __future__ import annotations

import itertools

import networkx as nx

from clustersim.spec.topology import HyperXSpec
from clustersim.topology.builders._grid import Axis, build_grid
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut

__all__ = ["build_hyperx"]


def build_hyperx(spec: HyperXSpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return a HyperX of L dimensions with S_i switches and relative bandwidth K_i along each.

    *Equation.* P = Π S_i switches with Σ (S_i − 1) links to others; two switches that differ in d
    coordinates are d links apart by d! shortest paths; halving an even dimension i cuts
    K_i·S_i·P/4 of bandwidth B each way. S_i = 2 everywhere is a hypercube, L = 1 a full mesh.

    **Source:** Ahn, Binkert, Davis, McLaren, Schreiber: HyperX: topology, routing, and packaging
    of efficient large-scale networks, SC 2009. **Checked by:** tests/topology/test_closed_forms.py.
    """
    shares = spec.link_bandwidths or (1.0,) * len(spec.dimensions)
    axes = [
        Axis(
            size=size,
            tier=f"dimension {n}",
            pairs=tuple(itertools.combinations(range(size), 2)),
            share=share,
        )
        for n, (size, share) in enumerate(zip(spec.dimensions, shares, strict=True))
    ]
    return build_grid(axes, node=node, nodes_per_switch=spec.nodes_per_switch, via=via)
