"""Node types: which accelerators a server holds and how they are wired inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import SIZE, parse_quantity

__all__ = ["SHELF", "Lane", "NodeType"]

Lane = tuple[int, int, int]
"""Two GPUs (index in the node) and how many lanes join them."""


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """One server: GPUs, the links among them, adapters and host memory.

    Parameters
    ----------
    accelerator
        Name in the catalogue's accelerators.
    gpus
        GPUs of the node; all alike.
    scale_up
        Link type among the GPUs, or None: then they meet over PCIe and the host.
    scale_up_layout
        `switch`: every GPU has its whole scale-up bandwidth to a switch that never blocks
        (NVSwitch); `mesh`: each pair has bandwidth / (gpus − 1); `lanes`: as
        `scale_up_lanes` says; `none`.
    scale_up_lanes
        For `lanes`: GPU, GPU, lanes between them. One lane has the link type's bandwidth
        divided by the lanes of one GPU.
    nics
        Adapters to the scale-out network.
    nic_attachment
        `gpu`: adapter n·nics/gpus sits on a PCIe switch beside GPU n, so that traffic does
        not pass the host; `host`: all adapters hang on the host.
    pcie_switches
        Switches that GPUs (and adapters beside them) hang on in order, evenly; each has one
        link to the host. 0 where GPUs hang on the host directly, or where it is not known.
    sockets
        Parts of the host, each with its own PCIe, that the rest is spread over evenly.
    socket_link
        Link type between each two sockets; None with a single one.
    gpu_nic_link
        PCIe link type of each GPU, adapter and switch.
    nic_link
        Link type of each adapter's port as the maker ships it; of chips that forward (TPUs),
        of each of their links.
    chip_grid
        Shape of the block of chips in one host, for chips that forward and have no adapter;
        else empty.
    host_memory_bytes
        Memory of the host CPUs.
    sources
        Field name to source.

    **Source:** `sources`, field by field. **Checked by:** tests/topology/test_link_and_node_types.py.
    """

    name: str
    accelerator: str
    gpus: int
    scale_up: str | None
    scale_up_layout: Literal["switch", "mesh", "lanes", "none"]
    scale_up_lanes: tuple[Lane, ...]
    nics: int
    nic_attachment: Literal["gpu", "host"]
    pcie_switches: int
    sockets: int
    socket_link: str | None
    gpu_nic_link: str
    nic_link: str
    chip_grid: tuple[int, ...]
    host_memory_bytes: float
    sources: Mapping[str, Source]


_FACTS = (
    "accelerator",
    "gpus",
    "scale_up",
    "nics",
    "nic_attachment",
    "pcie_switches",
    "sockets",
    "gpu_nic_link",
    "nic_link",
    "host_memory",
)
_CITED_WHERE_GIVEN = {"socket_link": "sockets", "chip_grid": "chip_grid"}


def _build(record: Record) -> NodeType:
    fields = record.fields
    return NodeType(
        name=record.name,
        accelerator=fields["accelerator"],
        gpus=fields["gpus"],
        scale_up=fields["scale_up"],
        scale_up_layout=fields["scale_up_layout"],
        scale_up_lanes=tuple(tuple(lane) for lane in fields.get("scale_up_lanes", ())),
        nics=fields["nics"],
        nic_attachment=fields["nic_attachment"],
        pcie_switches=fields.get("pcie_switches", 0),
        sockets=fields.get("sockets", 1),
        socket_link=fields.get("socket_link"),
        gpu_nic_link=fields["gpu_nic_link"],
        nic_link=fields["nic_link"],
        chip_grid=tuple(fields.get("chip_grid", ())),
        host_memory_bytes=parse_quantity(fields["host_memory"], SIZE),
        sources=MappingProxyType(
            {"host_memory_bytes" if key == "host_memory" else key: record.source(key) for key in _FACTS}
            | {key: record.source(cited) for key, cited in _CITED_WHERE_GIVEN.items() if key in fields}
        ),
    )


SHELF: Shelf[NodeType] = Shelf("node type", file="nodes.yaml", build=_build)
