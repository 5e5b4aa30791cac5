"""The topologies that a scenario may ask for: one class per `kind`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from clustersim.spec._base import LIST, FieldError, FileReference, InputPath, SpecModel
from clustersim.units import BandwidthQuantity, TimeQuantity

__all__ = [
    "AstraSimSpec",
    "DragonflyPlusSpec",
    "DragonflySpec",
    "FatTreeOversubscriptionSpec",
    "FatTreeSpec",
    "FullMeshSpec",
    "GraphSpec",
    "HyperXSpec",
    "HypercubeSpec",
    "LeafSpineSpec",
    "NodeName",
    "RailOnlySpec",
    "RailOptimizedSpec",
    "SiteLinkSpec",
    "SiteSpec",
    "SitesSpec",
    "StarSpec",
    "TopologySpec",
    "TorusSpec",
]

Count = Annotated[int, Field(ge=1)]
Ratio = Annotated[float, Field(ge=1.0)]

NodeName = Annotated[str, FileReference("nccl-topology.xml")]
"""Node type of the catalogue, or path of a topology file that NCCL wrote."""


class _OfNodes(SpecModel):
    """What topologies of servers share."""

    kind: str
    """Which topology."""
    node: NodeName
    """Node type of the catalogue, e.g. `dgx-h100` (`clustersim catalog` lists them), or the file of
    one machine that NCCL wrote to NCCL_TOPO_DUMP_FILE (`.xml`), relative to the scenario file."""


class _Builder(_OfNodes):
    """What topologies with a free number of nodes share."""

    nodes: Count
    """Number of nodes."""


class StarSpec(_Builder):
    """All NICs on one switch that never blocks."""

    kind: Literal["star"]


class LeafSpineSpec(_Builder):
    """Two tiers: each leaf switch connects some nodes, each spine connects all leaves."""

    kind: Literal["leaf-spine"]
    nodes_per_leaf: Count
    """Nodes under one leaf switch; all NICs of a node go to the same leaf."""
    oversubscription: Ratio = 1.0
    """Bandwidth from the nodes into a leaf, divided by bandwidth from that leaf to the spines."""
    spines: Count | None = None
    """Number of spine switches, one link from each leaf to each. Default: as many as the
    oversubscription asks for with links of the fabric's bandwidth. Where given, each
    leaf-spine link gets the bandwidth that the oversubscription asks for."""
    planes: Count = 1
    """Parallel fabrics of this shape: the port of each NIC is split evenly over them."""


class FatTreeOversubscriptionSpec(SpecModel):
    """Oversubscription of a fat-tree by tier; a plain number is that of the edge."""

    edge: Ratio = 1.0
    """Uplink bandwidth of an edge switch is divided by this."""
    aggregation: Ratio | None = None
    """Bandwidth into an aggregation switch from below, divided by its bandwidth to the cores.
    Default: links to the cores keep the fabric's bandwidth."""

    @model_validator(mode="before")
    @classmethod
    def _number_is_edge(cls, data: Any) -> Any:
        return {"edge": data} if isinstance(data, (int, float)) and not isinstance(data, bool) else data

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        mapping = dict(schema)
        schema.clear()
        schema["anyOf"] = [{"type": "number", "minimum": 1.0}, mapping]
        return reference


class FatTreeSpec(_Builder):
    """Three-tier k-ary fat-tree of Al-Fares et al. (SIGCOMM 2008): k pods, k³/4 host ports."""

    kind: Literal["fat-tree"]
    k: Annotated[int, Field(ge=2, multiple_of=2)] | None = None
    """Ports per switch, even. Default: the smallest k whose k³/4 ports hold all NICs."""
    oversubscription: FatTreeOversubscriptionSpec = FatTreeOversubscriptionSpec()
    """A number, that of the edge tier, or one for each tier."""
    planes: Count = 1
    """Parallel fabrics of this shape: the port of each NIC is split evenly over them."""


class RailOptimizedSpec(_Builder):
    """NIC i of every node goes to rail i's leaf; rails meet at the spines."""

    kind: Literal["rail-optimized"]
    nodes_per_group: Count = 32
    """Nodes in one scalable unit: they share one set of rail switches."""
    oversubscription: Ratio = 1.0
    """Bandwidth into a rail switch from nodes, divided by its bandwidth to the spines."""
    planes: Count = 1
    """Parallel fabrics of this shape: the port of each NIC is split evenly over them."""


class RailOnlySpec(_Builder):
    """NIC i of every node on rail i's switch, and no spine: other rails are reached through the node."""

    kind: Literal["rail-only"]


class DragonflySpec(_Builder):
    """Dragonfly of Kim et al. (ISCA 2008): groups of fully joined routers, and every two groups joined."""

    kind: Literal["dragonfly"]
    adapters_per_router: Count
    """NIC ports of one router (p)."""
    routers_per_group: Count | None = None
    """Routers of one group, each joined to each (a). Default: 2p, which balances."""
    global_links_per_router: Count | None = None
    """Links of one router to other groups (h). Default: p, which balances."""
    groups: Count | None = None
    """Number of groups (g), at most a·h + 1. Default: as many as hold all NICs, at least two."""


class DragonflyPlusSpec(_Builder):
    """Dragonfly+ of Shpiner et al. (HiPINEB 2017): groups of leaves and spines, joined by the spines."""

    kind: Literal["dragonfly-plus"]
    adapters_per_leaf: Count
    """NIC ports of one leaf."""
    leaves_per_group: Count
    """Leaves of one group, each joined to each spine of it."""
    spines_per_group: Count | None = None
    """Spines of one group. Default: as many as a leaf has NICs, which never blocks in the group."""
    global_links_per_spine: Count | None = None
    """Links of one spine to other groups. Default: as many as it has leaves, which balances."""
    groups: Count | None = None
    """Number of groups. Default: as many as hold all NICs, at least two."""


class _Grid(_OfNodes):
    """What topologies share whose switches have coordinates."""

    nodes_per_switch: Count = 1
    """Nodes on one switch, with all their NICs. Chips that forward, such as TPUs, need no switch."""


class TorusSpec(_Grid):
    """k-ary n-cube: each switch, or chip that forwards, is joined to its neighbours in each dimension."""

    kind: Literal["torus"]
    dimensions: Annotated[tuple[Count, ...], LIST, Field(min_length=1)]
    """Switches (or chips) along each dimension, e.g. `[4, 4, 8]`."""
    wrap: Annotated[tuple[bool, ...], LIST] | None = None
    """For each dimension whether its ends are joined. Default: those longer than two."""

    @model_validator(mode="after")
    def _one_wrap_per_dimension(self) -> TorusSpec:
        if self.wrap is not None and len(self.wrap) != len(self.dimensions):
            message = f"has {len(self.wrap)} items, 'dimensions' has {len(self.dimensions)}"
            raise FieldError(message, "wrap")
        return self


class HypercubeSpec(_Grid):
    """Binary cube: 2ⁿ switches, or chips that forward, each joined to the n that differ in one bit."""

    kind: Literal["hypercube"]
    dimensions: Annotated[int, Field(ge=1, le=20)]
    """n: links of each switch (or chip) to others."""


class HyperXSpec(_Grid):
    """HyperX of Ahn et al. (SC 2009): along each dimension each switch is joined to every other."""

    kind: Literal["hyperx"]
    dimensions: Annotated[tuple[Count, ...], LIST, Field(min_length=1)]
    """Switches along each dimension (S)."""
    link_bandwidths: Annotated[tuple[Annotated[float, Field(gt=0.0)], ...], LIST] | None = None
    """Bandwidth of the links of each dimension in links of the fabric (K). Default: one."""

    @model_validator(mode="after")
    def _one_bandwidth_per_dimension(self) -> HyperXSpec:
        if self.link_bandwidths is not None and len(self.link_bandwidths) != len(self.dimensions):
            message = f"has {len(self.link_bandwidths)} items, 'dimensions' has {len(self.dimensions)}"
            raise FieldError(message, "link_bandwidths")
        return self


class FullMeshSpec(_Builder):
    """Every switch joined to every other; or, without switches, every node cabled to every other."""

    kind: Literal["full-mesh"]
    nodes_per_switch: Count | None = None
    """Nodes on one switch, with all their NICs. Default: no switches; the port of NIC i of a node is
    split evenly over cables to NIC i of all others."""


class GraphSpec(SpecModel):
    """A graph of the user's own, read from a file; see docs/topology.md for the contract."""

    kind: Literal["graph"]
    path: InputPath
    """GraphML (`.graphml`) or node-link JSON (`.json`); relative to the scenario file."""


class AstraSimSpec(SpecModel):
    """The network file of ASTRA-sim's analytical backend (`network.yml`)."""

    kind: Literal["astra-sim"]
    path: InputPath
    """The file; relative to the scenario file."""
    accelerator: str
    """Accelerator of the catalogue that each NPU is."""


SiteTopologySpec = Annotated[
    StarSpec
    | LeafSpineSpec
    | FatTreeSpec
    | RailOptimizedSpec
    | RailOnlySpec
    | DragonflySpec
    | DragonflyPlusSpec
    | TorusSpec
    | HypercubeSpec
    | HyperXSpec
    | FullMeshSpec,
    Field(discriminator="kind"),
]


class SiteSpec(SpecModel):
    """One site: a cluster of its own behind a gateway."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Put before the names of its vertices: `basel/node0/gpu0`."""
    topology: SiteTopologySpec
    """Topology inside the site."""


class SiteLinkSpec(SpecModel):
    """A wide-area link between the gateways of two sites."""

    between: Annotated[tuple[str, str], LIST]
    """Names of the two sites."""
    bandwidth: BandwidthQuantity
    """Rate of payload in each direction."""
    latency: TimeQuantity
    """One way. Light in fibre takes 5 us per km."""


class SitesSpec(SpecModel):
    """Several sites, each with a topology of its own, joined by wide-area links."""

    kind: Literal["sites"]
    sites: Annotated[tuple[SiteSpec, ...], LIST, Field(min_length=2)]
    """The sites, in rank order."""
    links: Annotated[tuple[SiteLinkSpec, ...], LIST, Field(min_length=1)]
    """Wide-area links; traffic between sites that none joins directly passes others."""


TopologySpec = Annotated[
    StarSpec
    | LeafSpineSpec
    | FatTreeSpec
    | RailOptimizedSpec
    | RailOnlySpec
    | DragonflySpec
    | DragonflyPlusSpec
    | TorusSpec
    | HypercubeSpec
    | HyperXSpec
    | FullMeshSpec
    | SitesSpec
    | GraphSpec
    | AstraSimSpec,
    Field(discriminator="kind"),
]
