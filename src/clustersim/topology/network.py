"""`Topology`: a checked graph with its GPUs, links and routes by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import networkx as nx
import numpy as np

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator, DeviceSpeed
from clustersim.errors import CannotRunError, InputError, Problem, did_you_mean
from clustersim.spec.cluster import SpeedsSpec
from clustersim.topology._wires import Wires
from clustersim.topology.contract import check
from clustersim.topology.paths import LinkUse, Path, PathFinder, Routing
from clustersim.topology.routing import Router

__all__ = ["Topology", "from_graph", "link_names", "unreachable"]

_AS_BUILT = SpeedsSpec()


class Topology:
    """Vertices and directed links of a cluster, and the path of each connection.

    Made by `build` or `from_graph`, which check the graph. It never changes afterwards, but that
    adaptive routing remembers where it has laid connections.

    Parameters
    ----------
    graph
        Keeps the contract of `clustersim.topology.contract`.
    seed
        Of the ECMP hash.
    routing
        `ecmp`, `single-path`, `spray` or `adaptive`; see `clustersim.spec.cluster.FabricSpec`.
    connections
        Transport connections (queue pairs) per pair of vertices of different nodes, each routed on
        its own.
    speeds
        What `graph` was brought to already, and what devices and hosts are to be brought to.

    Attributes
    ----------
    graph
        The graph, frozen.
    gpus
        Names of the GPUs in rank order, node by node.
    gpus_by_node
        Node to its GPUs.
    link_names
        `source>target` of each link; `#0`, `#1`, … follow where links are parallel.
    link_ends, link_kind, link_tier
        Of each link: its (source, target), technology and tier.
    link_bandwidth_bytes_per_s, link_latency_s, link_message_overhead_s
        Of each link: usable rate per direction, latency of one traversal, and what the software
        over its technology costs once per message.
    wires
        The graph as lists by index, for algorithms over it.

    **Valid when** the fabric routes by shortest paths. **Checked by:** tests/topology.
    """

    def __init__(
        self,
        graph: nx.MultiDiGraph[str],
        *,
        seed: int = 0,
        routing: Routing = "ecmp",
        connections: int = 1,
        speeds: SpeedsSpec = _AS_BUILT,
    ) -> None:
        self.graph = nx.freeze(graph)
        self.speeds = speeds
        self._accelerators: dict[str, Accelerator] = {}
        self.seed = seed
        self.routing: Routing = routing
        self.memo: dict[str, Any] = {}
        """What others have worked out about the topology and want to keep as long as it lives."""
        self.connections = connections
        self._index = {vertex: n for n, vertex in enumerate(graph)}
        self.wires = Wires.of(graph, index=self._index)
        self._router = Router(self.wires, seed=seed, single_path=routing == "single-path")
        self._read_gpus(graph)
        self._read_links(graph)
        widest = float(self.link_bandwidth_bytes_per_s.max(initial=0.0))
        self._paths = PathFinder(
            self._router,
            latency_s=self._latency_s,
            capacity=[rate / widest for rate in self.link_bandwidth_bytes_per_s.tolist()],
            routing=routing,
            connections=connections,
        )

    def _read_gpus(self, graph: nx.MultiDiGraph[str]) -> None:
        by_node: dict[str, list[str]] = {}
        for vertex, fields in graph.nodes(data=True):
            if fields["kind"] == "gpu":
                by_node.setdefault(fields["node"], []).append(vertex)
        self.gpus_by_node: Mapping[str, tuple[str, ...]] = MappingProxyType(
            {node: tuple(gpus) for node, gpus in by_node.items()}
        )
        self.gpus = tuple(gpu for gpus in self.gpus_by_node.values() for gpu in gpus)

    def _read_links(self, graph: nx.MultiDiGraph[str]) -> None:
        rows = [fields for _, _, fields in graph.edges(data=True)]
        self.link_ends: tuple[tuple[str, str], ...] = tuple(graph.edges())
        self.link_names: tuple[str, ...] = tuple(link_names(graph))
        self.link_kind: tuple[str, ...] = tuple(row["kind"] for row in rows)
        self.link_tier: tuple[str, ...] = tuple(row.get("tier") or row["kind"] for row in rows)
        self.link_bandwidth_bytes_per_s = _frozen([row["bandwidth_bytes_per_s"] for row in rows])
        self.link_latency_s = _frozen([row["latency_s"] for row in rows])
        self.link_message_overhead_s = _frozen([row.get("message_overhead_s", 0.0) for row in rows])
        self._has_message_overhead = bool(self.link_message_overhead_s.any())
        self._latency_s: list[float] = self.link_latency_s.tolist()

    @property
    def route_searches(self) -> int:
        """Breadth-first searches that routing has cost so far: one per leaf switch at most."""
        return self._router.searches

    def __repr__(self) -> str:
        nodes, links = len(self.gpus_by_node), len(self.link_names)
        return (
            f"<Topology: {len(self.gpus)} GPUs in {nodes} nodes, {len(self._index)} vertices, {links} links>"
        )

    @cached_property
    def _link_index(self) -> dict[str, int]:
        return {name: n for n, name in enumerate(self.link_names)}

    def node_of(self, vertex: str) -> str:
        """Return the node that a vertex is part of; raise `InputError` where it is of none."""
        node = self.wires.node[self._vertex(vertex)]
        if node is None:
            raise InputError(f"'{vertex}' is part of the fabric, not of a node")
        return node

    def accelerator_of(self, gpu: str) -> str:
        """Return the catalogue name of a GPU's accelerator."""
        return str(self.graph.nodes[self._gpu(gpu)]["accelerator"])

    def accelerator(self, gpu: str) -> Accelerator:
        """Return what a GPU is: the catalogue's accelerator at the `speeds` of the cluster."""
        name = self.accelerator_of(gpu)
        found = self._accelerators.get(name)
        if found is None:
            own = self.speeds
            speed = DeviceSpeed(own.compute, own.memory_bandwidth, own.host)
            device = catalog.accelerator(name).with_speed(speed, memory_capacity=own.memory_capacity)
            found = self._accelerators[name] = device
        return found

    def memory_bytes(self, gpu: str) -> float:
        """Return the memory of a GPU."""
        return self.accelerator(gpu).memory_bytes

    def link_index(self, name: str) -> int:
        """Return the index of a link by its name.

        Raises
        ------
        InputError
            For a name that is no link, with the nearest one.
        """
        found = self._link_index.get(name)
        if found is None:
            raise InputError(f"no link '{name}'.{did_you_mean(name, self._alike(name))}")
        return found

    def _alike(self, name: str) -> list[str]:
        """Links that leave the same vertex, or all where there is none."""
        start = name.partition(">")[0]
        near = [known for known in self.link_names if known.startswith(f"{start}>")]
        return near or list(self.link_names)

    def route(self, source: str, target: str, *, connection: int = 0) -> tuple[int, ...]:
        """Return the links that one connection takes by its hash, in order; none where source is target.

        Between nodes: to the NIC nearest to the source, over the fewest switches, from the
        NIC nearest to the target. Inside a node: scale-up links where they lead there, else
        PCIe. Pairs whose own NICs no switch joins (rail-only) go over a GPU of an end's node. A
        transfer's whole path, under every way of routing, is `path`.

        Parameters
        ----------
        connection
            Tells apart parallel connections of one pair: each is hashed anew.

        Raises
        ------
        InputError
            For a name that is no vertex.
        CannotRunError
            If no path leads there.
        """
        return self._paths.route(self._vertex(source), self._vertex(target), connection)

    def path(self, source: str, target: str, *, connection: int = 0) -> Path:
        """Return what a lasting connection from one vertex to another uses.

        The same arguments always give the same path. Under `adaptive` routing a connection is laid
        when it is first asked for, over the equally short path whose links have the fewest
        connections laid on them, in proportion to capacity.

        Raises
        ------
        InputError
            For a name that is no vertex.
        CannotRunError
            If no path leads there.

        **Checked by:** tests/topology/test_routing_modes.py.
        """
        return self._paths.path(self._vertex(source), self._vertex(target), connection)

    def momentary_path(self, source: str, target: str, use: LinkUse, *, connection: int = 0) -> Path:
        """Return what a single transfer uses that begins now; as `path`, but for `adaptive` routing.

        Parameters
        ----------
        use
            From a link's index to how much it is used at this instant: 1 is one connection that
            could fill it. The equally short path whose busiest link is least used is taken.

        Raises
        ------
        InputError, CannotRunError
            As `path`.
        """
        if self.routing != "adaptive":
            return self.path(source, target, connection=connection)
        return self._paths.momentary(self._vertex(source), self._vertex(target), connection, use)

    def latency_s(self, route: tuple[int, ...]) -> float:
        """Return the sum of the links' latencies."""
        return sum((self._latency_s[link] for link in route), 0.0)

    def message_overhead_s(self, links: Sequence[int]) -> float:
        """Return what software costs once per message over these links.

        It is the largest of the technologies between nodes; inside a node, of all links.
        """
        if not self._has_message_overhead:
            return 0.0
        overheads_s, inside = self._overheads_s, self._inside_nodes
        outside = [overheads_s[link] for link in links if link not in inside]
        return max(outside or [overheads_s[link] for link in links], default=0.0)

    @cached_property
    def _overheads_s(self) -> list[float]:
        overheads_s: list[float] = self.link_message_overhead_s.tolist()
        return overheads_s

    @cached_property
    def _inside_nodes(self) -> frozenset[int]:
        """Links between two parts of one node."""
        node = self.wires.node
        homes = [(node[source], node[target]) for source, target in self.wires.ends]
        return frozenset(
            link for link, (source, target) in enumerate(homes) if source is not None and source == target
        )

    def rail(self, gpu: str) -> int:
        """Return which of its node's NICs (from 0) is nearest to a GPU.

        A GPU that has the network port itself counts its own place in the node.
        """
        ports = self._router.adapters.of(self._vertex(self._gpu(gpu)), leaving=True)
        node = self.node_of(gpu)
        if ports and self.wires.kind[ports[0]] == "nic":
            return self._nics_by_node[node].index(ports[0])
        return self.gpus_by_node[node].index(gpu)

    @cached_property
    def _nics_by_node(self) -> dict[str | None, list[int]]:
        found: dict[str | None, list[int]] = {}
        for vertex, kind in enumerate(self.wires.kind):
            if kind == "nic":
                found.setdefault(self.wires.node[vertex], []).append(vertex)
        return found

    @cached_property
    def dimensions(self) -> tuple[int, ...] | None:
        """Size of a torus, hypercube or HyperX along each axis; None where there is no such shape."""
        return _whole_numbers(self.graph.graph.get("dimensions"))

    def coordinates(self, gpu: str) -> tuple[int, ...] | None:
        """Return where a GPU stands in a torus, hypercube or HyperX; None in other shapes."""
        return _whole_numbers(self.graph.nodes[self._gpu(gpu)].get("coordinates"))

    def attachment(self, node: str) -> str:
        """Return the vertex outside a node that its first port hangs on, or `node` if none does."""
        if node not in self.gpus_by_node:
            raise InputError(f"no node '{node}'.{did_you_mean(node, self.gpus_by_node)}")
        first = self._vertex(self.gpus_by_node[node][0])
        for port in self._router.adapters.of(first, leaving=True):
            for other, _ in self.wires.out[port]:
                if self.wires.node[other] != node:
                    return self.wires.names[other]
        return node

    def _vertex(self, name: str) -> int:
        found = self._index.get(name)
        if found is None:
            raise InputError(f"no vertex '{name}'.{did_you_mean(name, self._index)}")
        return found

    def _gpu(self, name: str) -> str:
        if self.wires.kind[self._vertex(name)] != "gpu":
            raise InputError(f"'{name}' is a {self.wires.kind[self._vertex(name)]}, not a GPU")
        return name


def from_graph(
    graph: nx.MultiDiGraph[str], *, seed: int = 0, routing: Routing = "ecmp", connections: int = 1
) -> Topology:
    """Make a topology of a graph of one's own, which is copied.

    Raises
    ------
    InputError
        With every problem of the graph at once.
    CannotRunError
        If the graph keeps the contract, but some GPUs cannot reach each other.
    """
    check(graph)
    topology = Topology(graph.copy(), seed=seed, routing=routing, connections=connections)
    problems = list(unreachable(topology))
    if problems:
        raise CannotRunError(problems)
    return topology


def unreachable(topology: Topology) -> Iterator[Problem]:
    """One problem per GPU that the first GPU cannot reach, or that cannot reach it."""
    first = topology.gpus[0]
    for gpu in topology.gpus[1:]:
        for source, target in ((first, gpu), (gpu, first)):
            try:
                topology.route(source, target)
            except CannotRunError as error:
                yield Problem(("vertices", gpu), str(error))
                break


def link_names(graph: nx.MultiDiGraph[str]) -> Iterator[str]:
    """Yield the name of each link, in the order of the graph's edges."""
    for source, targets in graph.adjacency():
        for target, links in targets.items():
            if len(links) == 1:
                yield f"{source}>{target}"
            else:
                yield from (f"{source}>{target}#{n}" for n in range(len(links)))


def _whole_numbers(values: Any) -> tuple[int, ...] | None:
    return None if values is None else tuple(int(value) for value in values)


def _frozen(values: list[float]) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array
