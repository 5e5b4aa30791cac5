"""The cluster of a scenario: which topology, which link technology, what changes when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clustersim.spec._base import LIST, InputPath, SpecModel
from clustersim.units import BandwidthQuantity, TimeQuantity

__all__ = [
    "ClusterSpec",
    "FabricSpec",
    "FatTreeSpec",
    "GraphSpec",
    "LeafSpineSpec",
    "LinkChangeSpec",
    "RailOptimizedSpec",
    "StarSpec",
    "TopologySpec",
]


class _Builder(SpecModel):
    """What the standard topologies share: how many nodes of which type."""

    kind: str
    """Which topology."""
    nodes: Annotated[int, Field(ge=1)]
    """Number of nodes."""
    node: str
    """Node type of the catalogue, e.g. `dgx-h100`; `clustersim catalog` lists them."""


class StarSpec(_Builder):
    """All NICs on one switch that never blocks."""

    kind: Literal["star"]


class LeafSpineSpec(_Builder):
    """Two tiers: each leaf switch connects some nodes, each spine connects all leaves."""

    kind: Literal["leaf-spine"]
    nodes_per_leaf: Annotated[int, Field(ge=1)]
    """Nodes under one leaf switch; all NICs of a node go to the same leaf."""
    oversubscription: Annotated[float, Field(ge=1.0)] = 1.0
    """Bandwidth from the nodes into a leaf, divided by bandwidth from that leaf to the spines."""
    spines: Annotated[int, Field(ge=1)] | None = None
    """Number of spine switches, one link from each leaf to each. Default: as many as the
    oversubscription asks for with links of the fabric's bandwidth. Where given, each
    leaf-spine link gets the bandwidth that the oversubscription asks for."""


class FatTreeSpec(_Builder):
    """Three-tier k-ary fat-tree of Al-Fares et al. (SIGCOMM 2008): k pods, k³/4 host ports."""

    kind: Literal["fat-tree"]
    k: Annotated[int, Field(ge=2, multiple_of=2)] | None = None
    """Ports per switch, even. Default: the smallest k whose k³/4 ports hold all NICs."""
    oversubscription: Annotated[float, Field(ge=1.0)] = 1.0
    """At the edge tier: uplink bandwidth of an edge switch is divided by this."""


class RailOptimizedSpec(_Builder):
    """NIC i of every node goes to rail i's leaf; rails meet at the spines."""

    kind: Literal["rail-optimized"]
    nodes_per_group: Annotated[int, Field(ge=1)] = 32
    """Nodes in one scalable unit: they share one set of rail switches."""
    oversubscription: Annotated[float, Field(ge=1.0)] = 1.0
    """Bandwidth into a rail switch from nodes, divided by its bandwidth to the spines."""


class GraphSpec(SpecModel):
    """A graph of the user's own, read from a file; see docs/topology.md for the contract."""

    kind: Literal["graph"]
    path: InputPath
    """GraphML (`.graphml`) or node-link JSON (`.json`); relative to the scenario file."""


TopologySpec = Annotated[
    StarSpec | LeafSpineSpec | FatTreeSpec | RailOptimizedSpec | GraphSpec, Field(discriminator="kind")
]


class FabricSpec(SpecModel):
    """The scale-out network: technology of every NIC port and switch link."""

    link: str | None = None
    """Link type of the catalogue: rate, efficiency and latency with sources. Default: the
    NIC that the node type ships with."""
    bandwidth: BandwidthQuantity | None = None
    """Line rate of each link in place of the catalogue's; its efficiency is kept."""
    latency: TimeQuantity | None = None
    """Latency of each link in place of the catalogue's."""
    routing: Literal["ecmp", "single-path"] = "ecmp"
    """`ecmp`: each connection takes one of the shortest paths by a seeded hash, so that
    collisions happen; `single-path`: always the first shortest path."""


class LinkChangeSpec(SpecModel):
    """A link that degrades, fails or recovers while the run goes on."""

    at: TimeQuantity
    """When, from the start of the run."""
    link: str
    """`source>target` by vertex names; `source<>target` for both directions."""
    capacity: Annotated[float, Field(ge=0.0, le=1.0)]
    """Fraction of the link's full bandwidth from then on: 0 failed, 1 recovered."""


class ClusterSpec(SpecModel):
    """GPUs, nodes and the network between them."""

    topology: TopologySpec
    """Inline, or the path of a file that holds one (relative to the scenario file)."""
    fabric: FabricSpec = FabricSpec()
    """Link technology of the scale-out network."""
    changes: Annotated[tuple[LinkChangeSpec, ...], LIST] = ()
    """Links that degrade or fail during the run."""
