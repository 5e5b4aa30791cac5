"""Clusters as annotated graphs: builders, importers, routing, description, drawing."""

from clustersim.topology.builder import build
from clustersim.topology.contract import check
from clustersim.topology.drawing import draw, figure
from clustersim.topology.importers import read_graph, write_graph
from clustersim.topology.network import Topology, from_graph
from clustersim.topology.summary import TierSummary, TopologySummary, describe

__all__ = [
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
