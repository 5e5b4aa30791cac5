"""A checked graph as plain lists: integer vertices and links, ready to search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import networkx as nx

from clustersim.topology.contract import SCALE_UP_KINDS

__all__ = ["Wires"]


@dataclass(frozen=True, slots=True)
class Wires:
    """Vertices and links by index, with what routing asks about them.

    Parameters
    ----------
    names, kind
        Of each vertex.
    node
        Name of the node that a vertex is part of, or None for the fabric's own.
    forwards
        Whether a vertex passes on what is not for it: switches, NICs, hosts inside a node, and
        what says so.
    in_fabric
        Whether a vertex joins nodes: it forwards, and is of no node or a chip that forwards itself.
    out, into
        For each vertex its (other vertex, link), leaving and arriving.
    ends, is_scale_up
        For each link: its (source, target), and whether it joins GPUs directly.
    """

    names: tuple[str, ...]
    kind: tuple[str, ...]
    node: tuple[str | None, ...]
    forwards: tuple[bool, ...]
    in_fabric: tuple[bool, ...]
    out: tuple[tuple[tuple[int, int], ...], ...]
    into: tuple[tuple[tuple[int, int], ...], ...]
    ends: tuple[tuple[int, int], ...]
    is_scale_up: tuple[bool, ...]

    @classmethod
    def of(cls, graph: nx.MultiDiGraph[str], *, index: dict[str, int]) -> Wires:
        """Read a graph; link n is the n-th of `graph.edges`."""
        out: list[list[tuple[int, int]]] = [[] for _ in index]
        into: list[list[tuple[int, int]]] = [[] for _ in index]
        ends = [(index[source], index[target]) for source, target in graph.edges()]
        for link, (source, target) in enumerate(ends):
            out[source].append((target, link))
            into[target].append((source, link))
        kinds = tuple(_attribute(graph, "kind").values())
        node = _nodes(graph)
        forwards = tuple(
            _forwards_by_kind(kind, home) if own is None else bool(own)
            for kind, home, own in zip(kinds, node, _attribute(graph, "forwards").values(), strict=True)
        )
        return cls(
            names=tuple(index),
            kind=kinds,
            node=node,
            forwards=forwards,
            in_fabric=tuple(
                passes and (home is None or kind == "gpu")
                for passes, home, kind in zip(forwards, node, kinds, strict=True)
            ),
            out=tuple(map(tuple, out)),
            into=tuple(map(tuple, into)),
            ends=tuple(ends),
            is_scale_up=tuple(fields["kind"] in SCALE_UP_KINDS for _, _, fields in graph.edges(data=True)),
        )


def _forwards_by_kind(kind: str, node: str | None) -> bool:
    return kind in ("switch", "nic") or (kind == "host" and node is not None)


def _nodes(graph: nx.MultiDiGraph[str]) -> tuple[str | None, ...]:
    """Return the node of each vertex: as given, else inferred from the GPUs beside it.

    A NIC or host whose GPUs are all of one node belongs to it, and so does a switch
    that joins nothing but GPUs and hosts of one node.
    """
    kind = _attribute(graph, "kind")
    node = _attribute(graph, "node")
    given = dict(node)
    for vertex, home in given.items():
        if home is not None or kind[vertex] not in ("nic", "host", "switch"):
            continue
        beside = set(graph.succ[vertex]) | set(graph.pred[vertex])
        if kind[vertex] == "switch" and any(kind[other] not in ("gpu", "host") for other in beside):
            continue
        node[vertex] = _only(given[other] for other in beside if kind[other] == "gpu")
    return tuple(node.values())


def _attribute(graph: nx.MultiDiGraph[str], name: str) -> dict[str, Any]:
    return {vertex: fields.get(name) for vertex, fields in graph.nodes(data=True)}


def _only(names: Iterable[str | None]) -> str | None:
    distinct = set(names)
    return distinct.pop() if len(distinct) == 1 else None
