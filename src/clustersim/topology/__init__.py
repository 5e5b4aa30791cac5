"""Clusters as annotated graphs: builders, importers, routing, description, drawing."""

from clustersim.topology.builder import build
from clustersim.topology.contract import check
from clustersim.topology.drawing import draw, figure
from clustersim.topology.importers.graph_files import read_graph, write_graph
from clustersim.topology.network import Topology, from_graph
from clustersim.topology.paths import Path
from clustersim.topology.summary import TierSummary, TopologySummary, describe

__all__ = [
    "Path",
    "TierSummary",
    "Topology",
    "TopologySummary",
    "build",
    "check",
    "describe",
    "draw",
    "figure",
    "from_graph",
    "read_graph",
    "write_graph",
]
