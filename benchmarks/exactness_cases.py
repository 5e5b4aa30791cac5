"""The cases in which macro-flows are compared with the same collectives step by step."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from clustersim.topology import Topology, from_graph
from collective_cases import Case, alone_s, cluster, random_transfers

MIB = 2**20
ALONE = ("equal links", "unequal links", "oversubscribed")
NODE, LINK, LINK_BYTES_PER_S = "t4-x1", "ethernet-100g", 11.5e9


def star(ranks: int) -> Topology:
    """Single-GPU nodes on one switch: every connection of a ring has the same links."""
    return cluster("star", ranks, NODE, link=LINK)


def unequal(ranks: int) -> Topology:
    """The star, with the links of node i slowed down to 1/(1 + 7 i mod 5)."""
    graph = star(ranks).graph.copy()
    for source, target, link in graph.edges(data=True):
        node = graph.nodes[source].get("node") or graph.nodes[target].get("node")
        link["bandwidth_bytes_per_s"] /= 1 + 7 * int(node.removeprefix("node")) % 5
    return from_graph(graph)


def oversubscribed(ranks: int) -> Topology:
    """Leaves of four single-GPU nodes whose uplinks carry a quarter of what the nodes can send."""
    return cluster("leaf-spine", ranks, NODE, link=LINK, nodes_per_leaf=4, oversubscription=4.0)


def shuffled(topology: Topology, seed: int = 1) -> list[str]:
    """GPUs in random order, so that a ring crosses the leaves at most steps."""
    gpus = list(topology.gpus)
    random.Random(seed).shuffle(gpus)
    return gpus


def alone(ranks: int, size_bytes: float) -> Iterator[Case]:
    """One ring on equal links, on unequal ones, and over oversubscribed leaves."""
    for name, topology in zip(ALONE, (star(ranks), unequal(ranks), oversubscribed(ranks)), strict=True):
        yield Case(name, topology, [shuffled(topology)], size_bytes)


def two(ranks: int, size_bytes: float) -> Iterator[Case]:
    """Two rings that start together and share links: all of them, or the uplinks."""
    topology = star(ranks)
    gpus = list(topology.gpus)
    yield Case("two on the same links", topology, [gpus, shuffled(topology)], size_bytes)
    topology = oversubscribed(2 * ranks)
    gpus = shuffled(topology)
    yield Case("two that share uplinks", topology, [gpus[:ranks], gpus[ranks:]], size_bytes)


def staggered(ranks: int, size_bytes: float, part: float) -> Case:
    """Two rings on the same links, the second later by a part of the time that one step takes alone."""
    topology = star(ranks)
    case = Case(f"second {part:g} of a step later", topology, [list(topology.gpus)] * 2, size_bytes)
    return replace(case, stagger_s=part * alone_s(case) / (2 * (ranks - 1)))


def beside_transfers(
    ranks: int, size_bytes: float, *, transfer_bytes: float, load: float, repeat: int = 1
) -> Case:
    """One ring on the star, and transfers of one size between random pairs.

    `load` is the part of the nodes' bandwidth that the transfers ask for. They keep coming for
    twice the ring's time alone. `repeat` cuts the collective into so many, one after another.
    """
    topology = star(ranks)
    case = Case("", topology, [list(topology.gpus)], size_bytes / repeat, repeat=repeat)
    until_s = 2.0 * alone_s(case)
    count = max(1, round(load * LINK_BYTES_PER_S * ranks * until_s / transfer_bytes))
    transfers = random_transfers(topology.gpus, count, until_s=until_s, size_bytes=transfer_bytes)
    return replace(case, name=f"load {load:.0%}", transfers=transfers)


def large(ranks: int, count: int, size_bytes: float, ratio: float) -> Case:
    """Two rings over all nodes of an oversubscribed fat-tree, ranks in random order, and transfers.

    The transfers start at random times while the rings would take alone.
    """
    topology = cluster("fat-tree", 2 * ranks, NODE, link=LINK, oversubscription=4.0)
    gpus = shuffled(topology)
    case = Case(f"ratio {ratio:g}", topology, [gpus[:ranks], gpus[ranks:]], size_bytes)
    transfers = random_transfers(topology.gpus, count, until_s=alone_s(case), size_bytes=ratio * size_bytes)
    return replace(case, transfers=transfers)
