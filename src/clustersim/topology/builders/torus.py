"""Torus and mesh: switches, or chips that forward, joined to their neighbours."""

from __future__ import annotations

import networkx as nx

from clustersim.spec.topology import TorusSpec
from clustersim.topology.builders._grid import Axis, build_grid
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut

__all__ = ["build_torus"]

_AXES = ("x", "y", "z")


def build_torus(spec: TorusSpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return a torus of switches with nodes on them, or of chips that forward themselves.

    *Equation.* With sizes k_1 … k_n and N = Π k_i vertices, each wrapped dimension longer than
    two gives a vertex two links. The distance of two vertices is Σ min(|Δ_i|, k_i − |Δ_i|), the
    longest Σ ⌊k_i/2⌋; halving dimension i cuts 2·N/k_i links of bandwidth B each way. Where a
    dimension is not wrapped, as in a mesh, it is Σ |Δ_i|, and half as many links are cut.
    A wrapped dimension of two has two links side by side.

    **Valid when** the chips forward at full rate. Routes are shortest paths, any of them:
    not one dimension after the other, as some machines route.
    **Source:** Dally: Performance analysis of k-ary n-cube interconnection networks, IEEE
    Transactions on Computers 39(6), 1990; of TPU v4: Jouppi et al., ISCA 2023.
    **Checked by:** tests/topology/test_closed_forms.py.
    """
    wraps = spec.wrap or tuple(size > 2 for size in spec.dimensions)
    names = _AXES if len(spec.dimensions) <= len(_AXES) else range(len(spec.dimensions))
    axes = [
        Axis(
            size=size,
            tier=f"dimension {name}",
            pairs=tuple((at, (at + 1) % size) for at in range(size if wrap and size > 1 else size - 1)),
            symmetric=wrap or size < 3,
        )
        for size, wrap, name in zip(spec.dimensions, wraps, names, strict=False)
    ]
    return build_grid(axes, node=node, nodes_per_switch=spec.nodes_per_switch, via=via)
