"""Hardware as people describe it, in the catalogue's terms.

A table of measurements names its hardware in words: `H100-SXM5-80GB`, `NVLink4 NVSwitch`,
`8x400G InfiniBand NDR`. `understand` reads them into a node type, a link and their counts, says
what it took that the words leave open, and refuses what it does not know: nothing is guessed in
silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from clustersim.catalog.hardware.adapters import wire
from clustersim.catalog.hardware.between import read_network
from clustersim.catalog.hardware.gpus import read_gpu
from clustersim.catalog.hardware.inside import read_inside
from clustersim.catalog.hardware.library import Library, read_library
from clustersim.catalog.hardware.server import find_server
from clustersim.catalog.links import LinkType
from clustersim.catalog.nodes import NodeType
from clustersim.errors import InputError

__all__ = ["Hardware", "Library", "read_library", "understand"]

_ONE_DOMAIN = r"nv\s*-?\s*link|nv\s*-?\s*switch|\bnvl\s*\d\d|mnnvl|same (?:rack|domain)"


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A cluster in the catalogue's terms.

    Parameters
    ----------
    node
        Type of the nodes; its adapters are those that the words name.
    link
        Link of each adapter's port; None where one node is all.
    nodes, gpus_per_node
        Nodes, and GPUs that take part on each.
    peers
        GPUs of a node that copy to each other over PCIe without the host; None: all.
    reduces
        Whether the switches between nodes add (SHARP).
    assumed
        What was taken though the words do not say it.
    """

    node: NodeType
    link: LinkType | None
    nodes: int
    gpus_per_node: int
    peers: int | None = None
    reduces: bool = False
    assumed: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`2 x dgx-h100, 8 x infiniband-ndr`."""
        part = "" if self.gpus_per_node == self.node.gpus else f" ({self.gpus_per_node} GPUs)"
        staged = ", through host memory" if self.is_staged else ""
        network = f", {self.node.nics} x {self.link.name}" if self.link else ""
        adds = " that reduces" if self.reduces else ""
        return f"{self.nodes} x {self.node.name}{part}{staged}{network}{adds}"

    @property
    def is_staged(self) -> bool:
        """Whether GPUs of a node reach each other through host memory alone."""
        return self.peers is not None and self.gpus_per_node > self.peers and self.node.scale_up is None


def understand(
    *,
    gpu: str,
    nodes: int,
    gpus_per_node: int,
    intra_link: str = "",
    inter_link: str = "none",
    system: str = "",
) -> Hardware:
    """Read words about a cluster.

    Parameters
    ----------
    gpu, intra_link, inter_link
        Accelerator, links inside a node, network between nodes.
    system
        Free text; the name of a node type or of a cloud instance in it counts.

    Raises
    ------
    InputError
        With the word that is not understood, what is missing or what contradicts what.
    """
    if nodes < 1 or gpus_per_node < 1:
        raise InputError(f"{nodes} nodes of {gpus_per_node} GPUs are no cluster")
    words = read_gpu(gpu)
    domain = words.family.domain if words.family else None
    if nodes > 1 and domain and _is_one_domain(inter_link):
        return _one_domain(gpu, nodes * gpus_per_node, domain, intra_link, system)
    server = find_server(words, read_inside(intra_link), system=f"{system} {inter_link}", gpus=gpus_per_node)
    if nodes == 1:
        return Hardware(
            node=server.node,
            link=None,
            nodes=1,
            gpus_per_node=gpus_per_node,
            peers=server.peers,
            assumed=server.assumed,
        )
    network = read_network(inter_link)
    if network is None:
        raise InputError(f"{nodes} nodes, but no network between them is given")
    wired = wire(server.node, network)
    return Hardware(
        node=wired.node,
        link=wired.link,
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        peers=server.peers,
        reduces=network.reduces,
        assumed=(*server.assumed, *network.assumed, *wired.assumed),
    )


def _is_one_domain(inter_link: str) -> bool:
    """Whether the words put no network but NVLink between trays."""
    return bool(re.search(_ONE_DOMAIN, inter_link.lower())) or read_network(inter_link) is None


def _one_domain(gpu: str, gpus: int, domain: int, intra_link: str, system: str) -> Hardware:
    """Trays of one NVLink domain count as one node."""
    if gpus > domain:
        raise InputError(
            f"one NVLink domain holds {domain} GPUs, not {gpus}; name the network between domains"
        )
    whole = understand(gpu=gpu, nodes=1, gpus_per_node=gpus, intra_link=intra_link, system=system)
    return replace(whole, assumed=(*whole.assumed, "trays of one NVLink domain: one node"))
