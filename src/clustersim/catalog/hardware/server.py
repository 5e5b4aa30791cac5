"""From words about a server to a node type: one of the catalogue, or its nearest with what differs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from clustersim import catalog
from clustersim.catalog import nodes
from clustersim.catalog._store import normalised
from clustersim.catalog.hardware.gpus import SHELF, GpuFamily, GpuWords, accelerator_of
from clustersim.catalog.hardware.inside import InsideWords
from clustersim.catalog.nodes import NodeType
from clustersim.errors import InputError

__all__ = ["Server", "find_server"]

_FAMILY_OF_NVLINK = {1: "p100", 2: "v100", 3: "a100", 4: "h100", 5: "b200"}
_FAMILY_OF_PCIE = {3: "v100", 4: "a100", 5: "h100"}
_PLAIN_PCIE = "sockets and PCIe switches not stated: GPUs meet at one host that holds nobody back"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A node type, and how many GPUs of it copy to each other directly over PCIe (None: all)."""

    node: NodeType
    peers: int | None = None
    assumed: tuple[str, ...] = ()


def find_server(gpu: GpuWords, inside: InsideWords, *, system: str, gpus: int) -> Server:
    """Return the server that the words describe.

    Parameters
    ----------
    system
        Free text in which the name of a node type or of a cloud instance may stand.
    gpus
        GPUs of a node that take part.

    Raises
    ------
    InputError
        If the words do not say enough, contradict each other, or no node type stands for them.
    """
    named = _named(system, gpu.family)
    if named and not (inside.technology == "pcie" and named.scale_up):
        fitted = _of_size(named, gpus)
        return Server(node=_with_memory(fitted, gpu))
    family, assumed = _family(gpu.family, inside)
    technology, more = _technology(family, gpu.form, inside)
    assumed += more
    if technology == "pcie":
        node, peers = _card(family, inside, gpus), family.peers
        peers = peers if inside.peer_to_peer is None else None if inside.peer_to_peer else 1
    else:
        node, peers = _board(family, gpu.form, inside, gpus), None
    if technology == "pcie" or (family.bridge and node.scale_up == family.bridge):
        assumed += (_PLAIN_PCIE,)
    if gpu.family and not _holds(node, family):
        assumed += (f"{family.name} is wired as in {node.name}",)
    return Server(node=_with_accelerator(node, gpu, family), peers=peers, assumed=assumed)


def _named(system: str, family: GpuFamily | None) -> NodeType | None:
    """The node type whose name stands in the text, if it holds such GPUs."""
    text, shelf = normalised(system), catalog.names("node-types")
    found: list[tuple[int, NodeType]] = []
    for name in shelf:
        node = catalog.node_type(name)
        for alias in (name, *nodes.SHELF.aliases(name)):
            if re.search(rf"(?<![a-z0-9.]){re.escape(normalised(alias))}(?![a-z0-9])", text):
                found.append((len(alias), node))
    fitting = [(length, node) for length, node in found if family is None or _holds(node, family)]
    return max(fitting, key=lambda each: each[0])[1] if fitting else None


def _holds(node: NodeType, family: GpuFamily) -> bool:
    return bool(re.match(rf"(?:{family.words})(?![0-9])", node.accelerator.replace("-", " ")))


def _of_size(node: NodeType, gpus: int) -> NodeType:
    if gpus > node.gpus:
        raise InputError(f"{node.name} has {node.gpus} GPUs, not {gpus}")
    return node


def _family(family: GpuFamily | None, inside: InsideWords) -> tuple[GpuFamily, tuple[str, ...]]:
    """The family that is named, else one whose links are of the generation that is named."""
    if family is not None:
        return family, ()
    if inside.technology == "nvlink":
        name = _FAMILY_OF_NVLINK[inside.generation or 3]
        said = "" if inside.generation else " and generation of NVLink"
        return SHELF.get(name), (f"GPU{said} not stated: wired as {name}",)
    if inside.technology == "pcie" and inside.pcie_generation in _FAMILY_OF_PCIE:
        name = _FAMILY_OF_PCIE[inside.pcie_generation]
        return SHELF.get(name), (f"GPU not stated: wired as {name}",)
    raise InputError("the source does not say which GPU it is, nor which links join them")


def _technology(family: GpuFamily, form: str | None, inside: InsideWords) -> tuple[str, tuple[str, ...]]:
    """`pcie` or `board`, and what was assumed."""
    if not family.boards and family.card is None:
        raise InputError(f"no node type of the catalogue stands for servers with {family.name}")
    if inside.technology:
        return ("pcie" if inside.technology == "pcie" else "board"), ()
    if form or not family.boards or family.card is None:
        return ("pcie" if form == "card" or not family.boards else "board"), ()
    return "board", ("links inside the node not stated: those of the SXM form",)


def _card(family: GpuFamily, inside: InsideWords, gpus: int) -> NodeType:
    if family.card is None:
        raise InputError(f"{family.name} is not sold as a PCIe card")
    node = catalog.node_type(family.card)
    node = replace(node, pcie_switches=0, sockets=1, socket_link=None)
    if gpus > node.gpus:
        node = replace(node, name=f"{node.name} with {gpus} GPUs", gpus=gpus)
    if inside.pcie_generation and f"pcie-{inside.pcie_generation}-" not in node.gpu_nic_link:
        link = catalog.link(f"pcie-{inside.pcie_generation}-x16").name
        node = replace(node, name=f"{node.name} on PCIe {inside.pcie_generation}", gpu_nic_link=link)
    return node


def _board(family: GpuFamily, form: str | None, inside: InsideWords, gpus: int) -> NodeType:
    layout = inside.layout or ("pairs" if form == "card" or not family.boards else _usual(family, gpus))
    if layout == "pairs":
        return _bridged(family, inside, gpus)
    node = catalog.node_type(family.boards.get(layout) or next(iter(family.boards.values())))
    if family.scale_up:
        node = replace(node, name=f"{node.name} with {family.scale_up}", scale_up=family.scale_up)
    _check_generation(family, node, inside)
    if node.scale_up_layout != layout:
        if layout == "lanes":
            raise InputError(f"no node type of the catalogue joins {family.name} in a cube mesh")
        size = gpus if layout == "mesh" else max(gpus, node.gpus)
        name = f"{family.name} x{size} {layout}"
        kind: Literal["switch", "mesh"] = "mesh" if layout == "mesh" else "switch"
        node = replace(node, name=name, gpus=size, scale_up_layout=kind, scale_up_lanes=())
    if gpus > node.gpus:
        if node.scale_up_layout == "lanes":
            raise InputError(f"{node.name} has {node.gpus} GPUs, not {gpus}")
        node = replace(node, name=f"{family.name} x{gpus} {layout}", gpus=gpus)
    return node


def _usual(family: GpuFamily, gpus: int) -> str:
    sizes = [size for size in family.usual if size >= gpus] or [max(family.usual)]
    return family.usual[min(sizes)]


def _check_generation(family: GpuFamily, node: NodeType, inside: InsideWords) -> None:
    known = re.match(r"nvlink-(\d)$", node.scale_up or "")
    if known and inside.generation and int(known.group(1)) != inside.generation:
        raise InputError(f"{family.name} has NVLink {known.group(1)}, not NVLink {inside.generation}")


def _bridged(family: GpuFamily, inside: InsideWords, gpus: int) -> NodeType:
    """A PCIe server in which a bridge joins GPU 0 with 1, 2 with 3 and so on."""
    if family.bridge is None:
        raise InputError(f"{family.name} has no NVLink bridge")
    node = _card(family, inside, gpus)
    lanes = tuple((first, first + 1, 1) for first in range(0, node.gpus - 1, 2))
    return replace(
        node,
        name=f"{node.name} with NVLink bridges",
        scale_up=family.bridge,
        scale_up_layout="lanes",
        scale_up_lanes=lanes,
    )


def _with_memory(node: NodeType, gpu: GpuWords) -> NodeType:
    """The node of that name with accelerators of the memory that is named: some are sold with several."""
    if gpu.family is None or gpu.memory_gb is None:
        return node
    return _with_accelerator(node, gpu, gpu.family)


def _with_accelerator(node: NodeType, gpu: GpuWords, family: GpuFamily) -> NodeType:
    """The node with the accelerator that is named; under the name of a node type that is alike."""
    named = accelerator_of(GpuWords(family, gpu.form, gpu.memory_gb), default=node.accelerator)
    if named == node.accelerator or gpu.family is None:
        return node
    changed = replace(node, accelerator=named)
    for name in catalog.names("node-types"):
        other = catalog.node_type(name)
        unlike: dict[str, Any] = {
            "name": name,
            "host_memory_bytes": other.host_memory_bytes,
            "sources": other.sources,
        }
        if replace(changed, **unlike) == other:
            return other
    return changed
