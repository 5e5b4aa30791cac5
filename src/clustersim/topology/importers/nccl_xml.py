"""Reading a machine as NCCL saw it: the file that NCCL_TOPO_DUMP_FILE asks for."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx

from clustersim import catalog
from clustersim.catalog.links import SHELF as LINKS
from clustersim.catalog.links import LinkType
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import connect
from clustersim.topology.importers import _nccl_facts as facts
from clustersim.topology.importers._xml import Element, refuse

__all__ = ["read_nccl_xml"]

_UNUSED = "ethernet-10g"
"""Port of a machine without adapters, which nothing is plugged into."""


def read_nccl_xml(path: Path, *, label: str | None = None) -> NodeTemplate:
    """Read the inside of one machine, to be used as the node of any topology.

    What is read: `cpu` (one per NUMA node), `pci` with `class`, `busid`, `link_speed` and
    `link_width`, `gpu` with `sm` and `dev`, `nvlink` and `xgmi` with `target`, `count` and
    `tclass`, `c2c`, `nic` and `net` with `speed` in Mbit/s. Files made by hand for
    NCCL_TOPO_FILE, which have PCI devices only, do as well where they name the GPUs'
    `device`. Other elements and attributes are passed over. Rates are what the catalogue
    knows to be usable of a link of that generation and width, not NCCL's planning values.

    The accelerator follows from the GPU's PCI `device`; for one that is not known write
    `accelerator="…"`, a name of the catalogue, into its `gpu` (or `pci`) element. Where
    adapters are of different speeds, the fastest carry the traffic of the GPUs.

    Parameters
    ----------
    label
        What messages call the file.

    Raises
    ------
    InputError
        If the file is missing or no such file, with the line.

    **Valid when** all nodes of the cluster are like this one.
    **Source:** NVIDIA/nccl, src/graph/xml.cc and topo.cc.
    **Checked by:** tests/topology/test_nccl_xml.py.
    """
    label = label or path.name
    system = Element.read(path, label=label)
    if system.tag != "system":
        hint = "; it is a graph dump, set NCCL_TOPO_DUMP_FILE instead" if system.tag == "graphs" else ""
        refuse(system, f"expected <system>, the topology that NCCL dumps, got <{system.tag}>{hint}")
    return _Reader(system, label).template()


class _Reader:
    """Walks the elements, and lays vertices and links as it goes."""

    def __init__(self, system: Element, label: str) -> None:
        self.graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        self._label = label
        self._system = system
        self._cpus = [element for element in system.children if element.tag == "cpu"]
        self._gpus: dict[str, Element] = {}
        self._names: dict[str, str] = {}
        self._nets: dict[str, tuple[float, str]] = {}
        self._switches = itertools.count()
        self._has_gpu_elements = any(element.tag == "gpu" for element in system.walk())

    def template(self) -> NodeTemplate:
        for cpu in self._cpus:
            host = self._host(cpu)
            self.graph.add_node(host, kind="host")
            for child in cpu.children:
                self._device(child, host, below_switch=False)
        if not self._gpus:
            refuse(self._system, "no GPU in it: expected <pci> of class 0x03…, with <gpu> inside")
        for name, pci in self._gpus.items():
            self._scale_up(name, pci)
        self._join_sockets()
        return self._numbered()

    def _host(self, cpu: Element) -> str:
        return "host" if len(self._cpus) == 1 else f"host{max(cpu.whole('numaid', 0), 0)}"

    def _device(self, element: Element, parent: str, *, below_switch: bool) -> None:
        if element.tag == "nic":
            self._nics(element, element, parent, rate_bytes_per_s=None, latency_s=0.0)
        if element.tag != "pci":
            return
        link = facts.pcie_link(element)
        rate = facts.pcie_bytes_per_s(element, link)
        device_class = element.text("class")
        latency_s = link.latency_s if not below_switch else link.latency_s / 2
        nic = next((child for child in element.children if child.tag == "nic"), None)
        if self._is_gpu(element):
            self._add(element, f"gpu {element.text('busid')}", parent, rate, latency_s, link.kind, kind="gpu")
        elif nic is not None or device_class.startswith("0x02"):
            self._nics(element, nic, parent, rate_bytes_per_s=rate, latency_s=latency_s)
        elif device_class.startswith("0x0604") or element.children:
            name = f"pcie{next(self._switches)}"
            self._add(element, name, parent, rate, link.latency_s / 2, link.kind, kind="switch")
            for child in element.children:
                self._device(child, name, below_switch=True)

    def _is_gpu(self, pci: Element) -> bool:
        if self._has_gpu_elements:
            return any(child.tag == "gpu" for child in pci.children)
        return pci.text("class").startswith("0x03")

    def _add(
        self, element: Element, name: str, parent: str, rate: float, latency_s: float, link: str, *, kind: str
    ) -> None:
        if name in self.graph:
            refuse(element, f"a second device '{name}'")
        self.graph.add_node(name, kind=kind)
        connect(
            self.graph, name, parent, bandwidth_bytes_per_s=rate, latency_s=latency_s, kind=link, tier="pcie"
        )
        if kind == "gpu":
            self.graph.nodes[name]["accelerator"] = facts.accelerator(element)
            self._gpus[name] = element
            self._names[element.text("busid").lower()] = name

    def _nics(
        self,
        place: Element,
        nic: Element | None,
        parent: str,
        *,
        rate_bytes_per_s: float | None,
        latency_s: float,
    ) -> None:
        """Add a vertex for each port of an adapter; a virtual one has no PCIe that limits it."""
        for net in [child for child in nic.children if child.tag == "net"] if nic else [place]:
            name = f"net {net.text('dev') or net.text('name') or place.text('busid')}"
            mbit_per_s = net.number("speed", 0.0)
            rate = rate_bytes_per_s or max(mbit_per_s, 10_000.0) / 8 * 1e6
            self._add(place, name, parent, rate, latency_s, "pcie", kind="nic")
            self._nets[name] = (mbit_per_s, facts.nic_kind(place))

    def _scale_up(self, name: str, pci: Element) -> None:
        for gpu in pci.children:
            for lane in gpu.children if gpu.tag == "gpu" else ():
                if lane.tag in ("nvlink", "xgmi"):
                    self._lanes(name, gpu, lane)
                elif lane.tag == "c2c":
                    self._chip_to_chip(name, lane)

    def _lanes(self, name: str, gpu: Element, lane: Element) -> None:
        """Join a GPU to what its lanes lead to; a peer has the other direction in its own element."""
        link = facts.lane_link(gpu, lane)
        rate = facts.lane_bytes_per_s(gpu, lane, link)
        target_class = lane.text("tclass") or "0x068000"
        if target_class.startswith("0x03"):
            peer = self._names.get(lane.text("target").lower())
            if peer is not None:
                self._one_way(name, peer, rate, link)
            return
        other = next(iter(self.graph.succ[name])) if target_class == "0x068001" else "nvswitch"
        self.graph.add_node(other, kind=self.graph.nodes.get(other, {}).get("kind", "switch"))
        self._one_way(name, other, rate, link)
        self._one_way(other, name, rate, link)

    def _one_way(self, source: str, target: str, rate: float, link: LinkType) -> None:
        """Add to the lanes in one direction; NCCL lists a switch once per port group."""
        for key in self.graph.succ[source].get(target, ()):
            fields = self.graph.edges[source, target, key]
            if fields["tier"] == "scale-up":
                fields["bandwidth_bytes_per_s"] += rate
                return
        self.graph.add_edge(
            source,
            target,
            bandwidth_bytes_per_s=rate,
            latency_s=link.latency_s,
            kind=link.kind,
            tier="scale-up",
        )

    def _chip_to_chip(self, name: str, lane: Element) -> None:
        rate = lane.number("bw", 0.0) * lane.whole("count", 1) * 1e6
        host = next(
            (other for other in self.graph.succ[name] if self.graph.nodes[other]["kind"] == "host"), None
        )
        if rate > 0 and host is not None:
            latency_s = catalog.link("nvlink-4").latency_s
            connect(
                self.graph,
                name,
                host,
                bandwidth_bytes_per_s=rate,
                latency_s=latency_s,
                kind="c2c",
                tier="c2c",
            )

    def _join_sockets(self) -> None:
        for one, other in itertools.combinations(self._cpus, 2):
            link = facts.socket_link(one)
            ends, rate = (self._host(one), self._host(other)), link.usable_bytes_per_s
            look: dict[str, Any] = {"latency_s": link.latency_s, "kind": link.kind, "tier": "socket"}
            connect(self.graph, *ends, bandwidth_bytes_per_s=rate, **look)

    def _numbered(self) -> NodeTemplate:
        """Name GPUs in the order of their devices, and adapters in that of the file."""
        order = sorted(self._gpus, key=lambda name: facts.device_number(self._gpus[name]))
        fastest = max((speed for speed, _ in self._nets.values()), default=0.0)
        used = [name for name, (speed, _) in self._nets.items() if speed == fastest]
        self.graph.remove_nodes_from(set(self._nets) - set(used))
        names = {name: f"gpu{n}" for n, name in enumerate(order)}
        names |= {name: f"nic{n}" for n, name in enumerate(used)}
        kinds = Counter(self._nets[name][1] for name in used)
        return NodeTemplate(
            name=self._label,
            interior=nx.relabel_nodes(self.graph, names),
            gpus=tuple(f"gpu{n}" for n in range(len(order))),
            nics=tuple(f"nic{n}" for n in range(len(used))),
            nic_link=_port(kinds.most_common(1)[0][0], fastest) if used else _UNUSED,
        )


def _port(kind: str, mbit_per_s: float) -> str:
    """Return the link type of a port, or what it would be called where the catalogue has none."""
    rate = mbit_per_s / 8 * 1e6
    for name in LINKS.names():
        link = catalog.link(name)
        if link.kind == kind and abs(link.bandwidth_bytes_per_s - rate) <= 0.05 * rate:
            return name
    return f"{kind}-{mbit_per_s / 1000:g}g"
