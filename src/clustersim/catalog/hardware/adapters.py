"""The adapters of a node as words describe them: how many, which link, at which rate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from clustersim import catalog
from clustersim.catalog.hardware.between import NetworkWords, link_of_rate
from clustersim.catalog.links import LinkType
from clustersim.catalog.nodes import NodeType
from clustersim.errors import InputError

__all__ = ["Wired", "wire"]

_OF_CLOUDS = ("efa", "efa-v3", "tcpx", "tcpxo")
"""Technologies whose rate the name of an instance gives."""


class Wired(NamedTuple):
    """A node with its adapters, the link of each, and what was assumed."""

    node: NodeType
    link: LinkType
    assumed: tuple[str, ...] = ()


def wire(node: NodeType, network: NetworkWords) -> Wired:
    """Give a node the adapters that the words name.

    Where a node has more ports than GPUs, the ports of one GPU are taken together, as the
    catalogue's node types do.

    Raises
    ------
    InputError
        If the words give no rate.
    """
    shipped = catalog.link(node.nic_link)
    technology = network.technology
    if technology == "efa" and shipped.name.startswith("efa-v3"):
        technology = "efa-v3"
    ships_it = shipped.name == technology or shipped.name.startswith(f"{technology}-")
    ports, rate = network.ports, _port_rate(node, network, shipped if ships_it else None)
    if rate is None:
        raise InputError(f"the words on the network ({technology}) give no rate")
    assumed: tuple[str, ...] = ()
    if ports is None and (network.gpu_bytes_per_s or network.node_bytes_per_s):
        ports = node.gpus if network.gpu_bytes_per_s else node.nics
    if ports is None:
        as_shipped = ships_it and math.isclose(rate, shipped.bandwidth_bytes_per_s, rel_tol=0.05)
        ports = node.nics if as_shipped else 1
        assumed = (f"adapters of a node not stated: {ports}",)
    if ports > node.gpus:
        ports, rate = node.gpus, rate * ports / node.gpus
    return Wired(
        replace(node, nics=ports) if ports != node.nics else node, link_of_rate(technology, rate), assumed
    )


def _port_rate(node: NodeType, network: NetworkWords, shipped: LinkType | None) -> float | None:
    """Rate of one port; `shipped` is the link that the node comes with, if of the same technology."""
    if network.gpu_bytes_per_s:
        return network.gpu_bytes_per_s * (node.gpus / network.ports if network.ports else 1.0)
    if network.port_bytes_per_s is not None:
        return network.port_bytes_per_s
    if network.node_bytes_per_s is not None:
        return network.node_bytes_per_s / (network.ports or node.nics)
    if shipped is not None and network.technology in _OF_CLOUDS:
        return shipped.bandwidth_bytes_per_s
    return None
