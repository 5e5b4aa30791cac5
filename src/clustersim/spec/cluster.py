"""The cluster of a scenario: which topology, which link technology, what changes when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clustersim.spec._base import LIST, FileReference, SpecModel
from clustersim.spec.topology import (
    AstraSimSpec,
    DragonflyPlusSpec,
    DragonflySpec,
    FatTreeOversubscriptionSpec,
    FatTreeSpec,
    FullMeshSpec,
    GraphSpec,
    HypercubeSpec,
    HyperXSpec,
    LeafSpineSpec,
    RailOnlySpec,
    RailOptimizedSpec,
    SitesSpec,
    StarSpec,
    TopologySpec,
    TorusSpec,
)
from clustersim.units import BandwidthQuantity, TimeQuantity

__all__ = [
    "AstraSimSpec",
    "ClusterSpec",
    "DragonflyPlusSpec",
    "DragonflySpec",
    "FabricSpec",
    "FatTreeOversubscriptionSpec",
    "FatTreeSpec",
    "FullMeshSpec",
    "GraphSpec",
    "HyperXSpec",
    "HypercubeSpec",
    "LeafSpineSpec",
    "LinkChangeSpec",
    "LinkFaultSpec",
    "RailOnlySpec",
    "RailOptimizedSpec",
    "SitesSpec",
    "SpeedsSpec",
    "StarSpec",
    "TopologySpec",
    "TorusSpec",
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
    routing: Literal["ecmp", "single-path", "spray", "adaptive"] = "ecmp"
    """How connections spread over the shortest paths. `ecmp`: each takes one by a seeded hash, so
    that collisions happen; `single-path`: always the first; `spray`: packets split equally over
    all equally near next hops; `adaptive`: each takes the least used when it is made."""
    connections: Annotated[int, Field(ge=1)] = 1
    """Transport connections (queue pairs) per pair of endpoints in different nodes: each is routed
    on its own and carries an equal part of the bytes."""
    in_network_reduction: bool = False
    """Switches of the fabric can add up what passes them, as InfiniBand SHARP does."""


class LinkChangeSpec(SpecModel):
    """A link that degrades, fails or recovers while the run goes on."""

    at: TimeQuantity
    """When, from the start of the run."""
    link: str
    """`source>target` by vertex names; `source<>target` for both directions."""
    capacity: Annotated[float, Field(ge=0.0, le=1.0)]
    """Fraction of the link's full bandwidth from then on: 0 failed, 1 recovered."""


class LinkFaultSpec(SpecModel):
    """A link that is missing or degraded from the beginning."""

    link: str
    """`source>target` by vertex names; `source<>target` for both directions."""
    capacity: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Fraction of the link's full bandwidth. 0: the link is not there, and routes go round it."""


Factor = Annotated[float, Field(gt=0.0)]


class SpeedsSpec(SpecModel):
    """How many times faster, or larger, each resource is than the hardware that the cluster names."""

    compute: Factor = 1.0
    """Arithmetic of the GPUs."""
    memory_bandwidth: Factor = 1.0
    """Memory of the GPUs; keys and values in it, weights, embedding tables."""
    memory_capacity: Factor = 1.0
    """Bytes that the memory of a GPU holds."""
    network_bandwidth: Factor = 1.0
    """Every link, inside nodes and between them."""
    network_latency: Factor = 1.0
    """Every latency of a link, and what each message and each step of a collective takes beside its
    bytes: at 2 they are half as long."""
    host: Factor = 1.0
    """CPUs of the hosts: launches of kernels, the serial work of engines, decoding of samples."""
    storage: Factor = 1.0
    """Drives and stores that samples, weights and cached keys and values are read from."""


class ClusterSpec(SpecModel):
    """GPUs, nodes and the network between them."""

    topology: TopologySpec
    """Inline, or the path of a file that holds one (relative to the scenario file)."""
    accelerator: Annotated[str | None, FileReference("device.yaml")] = None
    """What every GPU is, in place of the node type's: a name of the catalogue, or the device file that
    `clustersim calibrate` wrote (`.yaml`), relative to the scenario file."""
    fabric: FabricSpec = FabricSpec()
    """Link technology of the scale-out network."""
    faults: Annotated[tuple[LinkFaultSpec, ...], LIST] = ()
    """Links that are missing or degraded from the beginning."""
    changes: Annotated[tuple[LinkChangeSpec, ...], LIST] = ()
    """Links that degrade or fail during the run."""
    speeds: SpeedsSpec = SpeedsSpec()
    """Resources that are faster or slower than they are built: what if, one resource at a time."""
