"""Which GPUs each workload gets: every GPU serves one workload."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from clustersim.errors import CannotRunError, InputError, PathPart, Problem
from clustersim.spec.placement import PlacementSpec
from clustersim.topology import Topology

__all__ = ["Placer"]


class Placer:
    """Hands out the GPUs of a topology, in the order in which workloads ask.

    A workload that fills whole nodes gets whole free nodes; a smaller one may share a node
    with another workload, but never a GPU.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._free = {node: list(gpus) for node, gpus in topology.gpus_by_node.items()}

    def take(
        self, count: int, placement: PlacementSpec, field: Sequence[PathPart] = ("gpus",)
    ) -> tuple[str, ...]:
        """Return `count` free GPUs, node by node, and mark them as taken.

        Parameters
        ----------
        field
            Where the workload says how many.

        Raises
        ------
        InputError
            If the placement names a node that does not exist.
        CannotRunError
            If the nodes that it may use have too few free GPUs.
        """
        chosen: list[str] = []
        for node in self._node_order(placement, count):
            chosen += self._free[node][: count - len(chosen)]
        if len(chosen) < count:
            raise CannotRunError(Problem(tuple(field), self._shortage(count, placement)))
        for gpu in chosen:
            self._free[self._topology.node_of(gpu)].remove(gpu)
        return tuple(chosen)

    def _node_order(self, placement: PlacementSpec, count: int) -> Sequence[str]:
        names = list(self._free)
        if placement.nodes is not None:
            for position, index in enumerate(placement.nodes):
                if index >= len(names):
                    raise InputError(
                        Problem(
                            ("placement", "nodes", position),
                            f"node {index} does not exist; the cluster has nodes 0 to {len(names) - 1}",
                        )
                    )
            return [names[index] for index in dict.fromkeys(placement.nodes)]
        # Whole free nodes first, so that a group is not cut across leftovers.
        usable = sorted(names, key=lambda node: len(self._free[node]) < min(count, self._size(node)))
        return usable if placement.policy == "packed" else self._spread(usable)

    def _spread(self, nodes: Sequence[str]) -> list[str]:
        by_switch: dict[str, list[str]] = {}
        for node in nodes:
            if self._free[node]:
                by_switch.setdefault(self._topology.attachment(node), []).append(node)
        rounds = zip_longest(*by_switch.values())
        return [node for one_round in rounds for node in one_round if node is not None]

    def _size(self, node: str) -> int:
        return len(self._topology.gpus_by_node[node])

    def _shortage(self, count: int, placement: PlacementSpec) -> str:
        free = sum(len(self._free[node]) for node in self._node_order(placement, count))
        where = "the nodes named in 'placement'" if placement.nodes is not None else "the cluster"
        total = len(self._topology.gpus)
        return f"{count} GPUs are asked for, {where} has {free} free of {total}; add nodes or take fewer"
