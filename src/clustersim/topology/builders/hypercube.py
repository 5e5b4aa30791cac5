"""Hypercube: switches, or chips that forward, whose numbers differ in one bit are joined."""

from __future__ import annotations

import networkx as nx

from clustersim.spec.topology import HypercubeSpec
from clustersim.topology.builders._grid import Axis, build_grid
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut

__all__ = ["build_hypercube"]


def build_hypercube(spec: HypercubeSpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return a binary n-cube.

    *Equation.* 2ⁿ vertices with n links each; two that differ in d bits are d links apart by d!
    shortest paths; halving cuts 2ⁿ⁻¹ links of bandwidth B each way.

    **Source:** Seitz: The cosmic cube, Communications of the ACM 28(1), 1985.
    **Checked by:** tests/topology/test_closed_forms.py.
    """
    axes = [Axis(size=2, tier="hypercube", pairs=((0, 1),)) for _ in range(spec.dimensions)]
    return build_grid(axes, node=node, nodes_per_switch=spec.nodes_per_switch, via=via)
