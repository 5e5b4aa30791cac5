"""From the cluster of a scenario to its topology."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import networkx as nx

from clustersim import catalog
from clustersim.catalog.device_files import is_device_file
from clustersim.errors import CatalogError, ClusterSimError, InputError, PathPart, Problem
from clustersim.spec.cluster import ClusterSpec, FabricSpec, SpeedsSpec
from clustersim.spec.topology import (
    AstraSimSpec,
    DragonflyPlusSpec,
    DragonflySpec,
    FatTreeSpec,
    FullMeshSpec,
    GraphSpec,
    HypercubeSpec,
    HyperXSpec,
    LeafSpineSpec,
    RailOnlySpec,
    RailOptimizedSpec,
    SiteSpec,
    SitesSpec,
    StarSpec,
    TorusSpec,
)
from clustersim.topology.builders.dragonfly import build_dragonfly
from clustersim.topology.builders.dragonfly_plus import build_dragonfly_plus
from clustersim.topology.builders.fat_tree import build_fat_tree
from clustersim.topology.builders.full_mesh import build_full_mesh
from clustersim.topology.builders.hypercube import build_hypercube
from clustersim.topology.builders.hyperx import build_hyperx
from clustersim.topology.builders.leaf_spine import build_leaf_spine
from clustersim.topology.builders.node import NodeTemplate, template_of
from clustersim.topology.builders.rail_only import build_rail_only
from clustersim.topology.builders.rail_optimized import build_rail_optimized
from clustersim.topology.builders.sites import build_sites
from clustersim.topology.builders.star import build_star
from clustersim.topology.builders.torus import build_torus
from clustersim.topology.builders.wiring import scale_out
from clustersim.topology.contract import check
from clustersim.topology.faults import broken, check_reachable
from clustersim.topology.importers.astra_sim import read_astra_sim
from clustersim.topology.importers.graph_files import read_graph
from clustersim.topology.importers.nccl_xml import read_nccl_xml
from clustersim.topology.network import Topology

__all__ = ["build"]

Found = TypeVar("Found")

_BUILDERS: dict[type, Callable[..., nx.MultiDiGraph[str]]] = {
    StarSpec: build_star,
    LeafSpineSpec: build_leaf_spine,
    FatTreeSpec: build_fat_tree,
    RailOptimizedSpec: build_rail_optimized,
    RailOnlySpec: build_rail_only,
    DragonflySpec: build_dragonfly,
    DragonflyPlusSpec: build_dragonfly_plus,
    TorusSpec: build_torus,
    HypercubeSpec: build_hypercube,
    HyperXSpec: build_hyperx,
    FullMeshSpec: build_full_mesh,
}
_GRIDS = (TorusSpec, HypercubeSpec, HyperXSpec)
_MAY_BE_CUT = (GraphSpec, SitesSpec)
"""Topologies whose GPUs need not all reach each other."""


def build(cluster: ClusterSpec, *, base: Path | None = None, seed: int = 0) -> Topology:
    """Build the topology of a scenario's cluster.

    Parameters
    ----------
    base
        Folder that the paths of files start from; the working folder where None.
    seed
        Of the ECMP hash.

    Raises
    ------
    InputError
        With all problems; paths are relative to the cluster, as `("topology", "node")`.
    CannotRunError
        If GPUs of an imported graph cannot reach each other, or faults cut them off.

    **Checked by:** tests/topology/test_builders.py.
    """
    folder, fabric = base or Path(), cluster.fabric
    graph = _graph_of(cluster, folder)
    if cluster.accelerator is not None:
        _replace_accelerators(graph, cluster.accelerator, folder)
    if fabric.in_network_reduction:
        _let_switches_reduce(graph)
    _bring_links_to(cluster.speeds, graph)
    topology = Topology(
        broken(graph, cluster.faults),
        seed=seed,
        routing=fabric.routing,
        connections=fabric.connections,
        speeds=cluster.speeds,
    )
    if cluster.faults or isinstance(cluster.topology, _MAY_BE_CUT):
        check_reachable(topology, cluster.faults, graph=graph)
    return topology


def _graph_of(cluster: ClusterSpec, folder: Path) -> nx.MultiDiGraph[str]:
    """Return a graph that keeps the contract."""
    spec = cluster.topology
    if isinstance(spec, (GraphSpec, AstraSimSpec)):
        return _imported(cluster.fabric, spec, folder)
    if isinstance(spec, SitesSpec):
        graph = build_sites(spec, build_site=lambda number, site: _site(number, site, cluster.fabric, folder))
    else:
        graph = _standard(spec, cluster.fabric, folder)
    check(graph)
    return graph


def _site(number: int, site: SiteSpec, fabric: FabricSpec, folder: Path) -> nx.MultiDiGraph[str]:
    try:
        return _standard(site.topology, fabric, folder)
    except InputError as error:
        raise type(error)(
            [_moved(problem, ("topology", "sites", number)) for problem in error.problems]
        ) from None


def _moved(problem: Problem, to: tuple[PathPart, ...]) -> Problem:
    """Put what is wrong with the topology of a site under the site."""
    inside = problem.path[:1] == ("topology",)
    return Problem((*to, *problem.path), problem.message) if inside else problem


def _standard(spec: Any, fabric: FabricSpec, folder: Path) -> nx.MultiDiGraph[str]:
    problems: list[Problem] = []
    node = _node(spec.node, folder, problems)
    link = fabric.link or (node.nic_link if node is not None else None)
    if link:
        _look_up(catalog.link, link, ("fabric", "link"), problems)
    if node is not None:
        problems += _misplaced(spec, node)
    if node is None or problems:
        raise InputError(problems)
    return _BUILDERS[type(spec)](spec, node=node, via=scale_out(fabric, nic_link=node.nic_link))


def _node(name: str, folder: Path, problems: list[Problem]) -> NodeTemplate | None:
    """Return the inside of the nodes: of a type of the catalogue, or as NCCL saw a machine."""
    if not name.endswith(".xml"):
        node_type = _look_up(catalog.node_type, name, ("topology", "node"), problems)
        return None if node_type is None else template_of(node_type)
    try:
        return read_nccl_xml(folder / name, label=name)
    except InputError as error:
        problems += [Problem(("topology", "node"), str(problem)) for problem in error.problems]
        return None


def _misplaced(spec: Any, node: NodeTemplate) -> list[Problem]:
    """Problems of a node that has nothing to be joined to others with."""
    if node.nics or (node.chip_grid and isinstance(spec, _GRIDS)) or getattr(spec, "nodes", 0) == 1:
        return []
    instead = "; kind 'torus' joins its chips" if node.chip_grid else ""
    return [Problem(("topology", "node"), f"'{node.name}' has no network adapter{instead}")]


def _look_up(
    find: Callable[[str], Found], name: str, path: tuple[str, ...], problems: list[Problem]
) -> Found | None:
    try:
        return find(name)
    except CatalogError as error:
        problems.append(Problem(path, str(error)))
        return None


def _replace_accelerators(graph: nx.MultiDiGraph[str], name: str, folder: Path) -> None:
    """Make every GPU what the cluster says, a name of the catalogue or a device file."""
    found = str((folder / name).resolve()) if is_device_file(name) else name
    try:
        catalog.accelerator(found)
    except ClusterSimError as error:
        raise InputError(Problem(("accelerator",), str(error))) from None
    for _, fields in graph.nodes(data=True):
        if fields["kind"] == "gpu":
            fields["accelerator"] = found


def _bring_links_to(speeds: SpeedsSpec, graph: nx.MultiDiGraph[str]) -> None:
    if speeds.network_bandwidth == speeds.network_latency == 1.0:
        return
    for _, _, fields in graph.edges(data=True):
        fields["bandwidth_bytes_per_s"] *= speeds.network_bandwidth
        fields["latency_s"] /= speeds.network_latency
        if "message_overhead_s" in fields:
            fields["message_overhead_s"] /= speeds.network_latency


def _let_switches_reduce(graph: nx.MultiDiGraph[str]) -> None:
    for _, fields in graph.nodes(data=True):
        if fields["kind"] == "switch" and fields.get("node") is None:
            fields.setdefault("reduces", True)


def _imported(fabric: FabricSpec, spec: GraphSpec | AstraSimSpec, folder: Path) -> nx.MultiDiGraph[str]:
    problems = _without_effect(fabric)
    try:
        if isinstance(spec, GraphSpec):
            graph = read_graph(folder / spec.path)
        else:
            graph = read_astra_sim(folder / spec.path, accelerator=spec.accelerator)
        check(graph)
    except InputError as error:
        found = [Problem(("topology", "path"), f"{spec.path}: {problem}") for problem in error.problems]
        raise (InputError(problems + found) if problems else type(error)(found)) from None
    if problems:
        raise InputError(problems)
    return graph


def _without_effect(fabric: FabricSpec) -> list[Problem]:
    """Problems of fabric fields that an imported graph would silently ignore."""
    default = FabricSpec()
    return [
        Problem(("fabric", field), "has no effect on an imported graph, whose links say their own; remove it")
        for field in ("link", "bandwidth", "latency")
        if getattr(fabric, field) not in (None, getattr(default, field))
    ]
