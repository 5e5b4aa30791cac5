"""Tiny execution traces for tests, written node by node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training_jobs import cluster

from clustersim.engine.world import World
from clustersim.spec.chakra import ChakraSpec
from clustersim.topology import Topology
from clustersim.workloads.chakra import ChakraWorkload
from clustersim.workloads.chakra.messages import CollectiveType, Node, NodeType
from clustersim.workloads.chakra.trace_files import RankTrace, write_file

Deps = Sequence[int]


def compute(number: int, micros: int = 0, after: Deps = (), **attributes: Any) -> Node:
    return Node(number, f"compute {number}", NodeType.COMP_NODE, tuple(after), (), micros, attributes)


def collective(
    number: int,
    kind: CollectiveType = CollectiveType.ALL_REDUCE,
    size: int = 1 << 20,
    after: Deps = (),
    **more: Any,
) -> Node:
    attributes = {"comm_type": int(kind), "comm_size": size, **more}
    return Node(number, f"collective {number}", NodeType.COMM_COLL_NODE, tuple(after), attributes=attributes)


def send(number: int, target: int, size: int = 1 << 20, after: Deps = (), tag: int = 0) -> Node:
    attributes = {"comm_dst": target, "comm_size": size, "comm_tag": tag}
    return Node(number, f"send {number}", NodeType.COMM_SEND_NODE, tuple(after), attributes=attributes)


def receive(number: int, source: int, size: int = 1 << 20, after: Deps = (), tag: int = 0) -> Node:
    attributes = {"comm_src": source, "comm_size": size, "comm_tag": tag}
    return Node(number, f"receive {number}", NodeType.COMM_RECV_NODE, tuple(after), attributes=attributes)


def traces(*ranks: Sequence[Node]) -> tuple[RankTrace, ...]:
    return tuple(RankTrace(rank, f"x.{rank}.et", tuple(nodes)) for rank, nodes in enumerate(ranks))


def spec(**fields: Any) -> ChakraSpec:
    return ChakraSpec.model_validate({"kind": "chakra", "name": "x", "trace": "x", "gpus": 2} | fields)


def replay(
    folder: Path, *ranks: Sequence[Node], topology: Topology | None = None, **fields: Any
) -> tuple[ChakraWorkload, World]:
    """Write a trace, and run it on the first GPUs of two small nodes."""
    for rank, nodes in enumerate(ranks):
        write_file(folder / f"x.{rank}.et", nodes)
    topology = topology or cluster()
    world = World(topology)
    workload = ChakraWorkload(
        spec(gpus=len(ranks), **fields), topology=topology, gpus=topology.gpus[: len(ranks)], base=folder
    )
    world.env.run(until=workload.start(world))
    return workload, world
