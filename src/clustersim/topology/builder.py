"""From the cluster of a scenario to its topology."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import networkx as nx

from clustersim import catalog
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.cluster import (
    ClusterSpec,
    FabricSpec,
    FatTreeSpec,
    GraphSpec,
    LeafSpineSpec,
    RailOptimizedSpec,
    StarSpec,
)
from clustersim.topology.contract import check
from clustersim.topology.fat_tree import build_fat_tree
from clustersim.topology.importers import read_graph
from clustersim.topology.leaf_spine import build_leaf_spine
from clustersim.topology.network import Topology, from_graph
from clustersim.topology.rail_optimized import build_rail_optimized
from clustersim.topology.star import build_star
from clustersim.topology.wiring import scale_out

__all__ = ["build"]

Found = TypeVar("Found")


def build(cluster: ClusterSpec, *, base: Path | None = None, seed: int = 0) -> Topology:
    """Build the topology of a scenario's cluster.

    Parameters
    ----------
    base
        Folder that the path of a `graph` topology starts from; the working folder where None.
    seed
        Of the ECMP hash.

    Raises
    ------
    InputError
        With all problems; paths are relative to the cluster, as `("topology", "node")`.
    CannotRunError
        If GPUs of an imported graph cannot reach each other.

    **Checked by:** tests/topology/test_builders.py.
    """
    if isinstance(cluster.topology, GraphSpec):
        return _imported(cluster, cluster.topology, base=base, seed=seed)
    graph = _standard(cluster, cluster.topology)
    check(graph)
    return Topology(graph, seed=seed, routing=cluster.fabric.routing)


def _standard(
    cluster: ClusterSpec, spec: StarSpec | LeafSpineSpec | FatTreeSpec | RailOptimizedSpec
) -> nx.MultiDiGraph[str]:
    problems: list[Problem] = []
    node_type = _look_up(catalog.node_type, spec.node, ("topology", "node"), problems)
    if cluster.fabric.link:
        _look_up(catalog.link, cluster.fabric.link, ("fabric", "link"), problems)
    if node_type is None or problems:
        raise InputError(problems)
    via = scale_out(cluster.fabric, node=node_type)
    match spec:
        case StarSpec():
            return build_star(spec, node_type=node_type, via=via)
        case LeafSpineSpec():
            return build_leaf_spine(spec, node_type=node_type, via=via)
        case FatTreeSpec():
            return build_fat_tree(spec, node_type=node_type, via=via)
        case RailOptimizedSpec():
            return build_rail_optimized(spec, node_type=node_type, via=via)


def _look_up(
    find: Callable[[str], Found], name: str, path: tuple[str, ...], problems: list[Problem]
) -> Found | None:
    try:
        return find(name)
    except CatalogError as error:
        problems.append(Problem(path, str(error)))
        return None


def _without_effect(fabric: FabricSpec) -> list[Problem]:
    """Problems of fabric fields that an imported graph would silently ignore."""
    default = FabricSpec()
    return [
        Problem(("fabric", field), "has no effect on an imported graph, whose links say their own; remove it")
        for field in ("link", "bandwidth", "latency")
        if getattr(fabric, field) not in (None, getattr(default, field))
    ]


def _imported(cluster: ClusterSpec, spec: GraphSpec, *, base: Path | None, seed: int) -> Topology:
    path = (base or Path()) / spec.path
    problems = _without_effect(cluster.fabric)
    try:
        topology = from_graph(read_graph(path), seed=seed, routing=cluster.fabric.routing)
    except InputError as error:
        found = [Problem(("topology", "path"), f"{spec.path}: {problem}") for problem in error.problems]
        raise (InputError(problems + found) if problems else type(error)(found)) from None
    if problems:
        raise InputError(problems)
    return topology
