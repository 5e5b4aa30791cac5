"""Links that are missing or degraded from the beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import networkx as nx

from clustersim.errors import CannotRunError, InputError, PathPart, Problem, did_you_mean
from clustersim.spec.cluster import LinkFaultSpec
from clustersim.topology.network import Topology, link_names, unreachable

__all__ = ["broken", "check_reachable"]

Edge = tuple[str, str, int]


def broken(graph: nx.MultiDiGraph[str], faults: Sequence[LinkFaultSpec]) -> nx.MultiDiGraph[str]:
    """Return a graph with its faults: links of capacity 0 are gone, others keep their fraction.

    Links are named as in the graph without faults. Without faults the graph itself is returned.

    Raises
    ------
    InputError
        With every name that is no link, and every link that is named twice.

    **Checked by:** tests/topology/test_faults.py.
    """
    if not faults:
        return graph
    edges = _edges_of_faults(graph, faults)
    copy: nx.MultiDiGraph[str] = graph.copy()
    copy.graph.pop("symmetric", None)
    for fault, members in zip(faults, edges, strict=True):
        for edge in members:
            if fault.capacity > 0:
                copy.edges[edge]["bandwidth_bytes_per_s"] *= fault.capacity
            else:
                copy.remove_edge(*edge)
    return copy


def _edges_of_faults(graph: nx.MultiDiGraph[str], faults: Sequence[LinkFaultSpec]) -> list[list[Edge]]:
    known: dict[str, Edge] = dict(zip(link_names(graph), graph.edges(keys=True), strict=True))
    problems: list[Problem] = []
    found: list[list[Edge]] = []
    seen: set[Edge] = set()
    for number, fault in enumerate(faults):
        path: tuple[PathPart, ...] = ("faults", number, "link")
        names = _directions(fault.link)
        missing = [name for name in names if name not in known]
        problems += [Problem(path, _no_such_link(name, known)) for name in missing[:1]]
        edges = [known[name] for name in names if name in known]
        problems += [Problem(path, f"'{fault.link}' has a fault above") for edge in edges[:1] if edge in seen]
        seen.update(edges)
        found.append(edges)
    if problems:
        raise InputError(problems)
    return found


def _directions(link: str) -> list[str]:
    """Return the names of the links meant: both directions of `a<>b`, also of `a<>b#1`."""
    source, both, rest = link.partition("<>")
    target, parallel, number = rest.partition("#")
    return [f"{source}>{rest}", f"{target}>{source}{parallel}{number}"] if both else [link]


def _no_such_link(name: str, known: dict[str, Edge]) -> str:
    source = name.partition(">")[0]
    near = [other for other in known if other.startswith(f"{source}>")]
    return f"no link '{name}'.{did_you_mean(name, near or known)}"


def check_reachable(
    topology: Topology, faults: Sequence[LinkFaultSpec], *, graph: nx.MultiDiGraph[str]
) -> None:
    """Check that all GPUs still reach each other.

    Parameters
    ----------
    graph
        Before the faults.

    Raises
    ------
    CannotRunError
        If some do not; with faults, naming the first that cuts them off, given those above it.
    """
    cut_off = list(unreachable(topology))
    if not cut_off:
        return
    removals = [number for number, fault in enumerate(faults) if fault.capacity == 0]
    if not removals or list(unreachable(Topology(graph.copy()))):
        raise CannotRunError(cut_off)
    guilty = _first_that_cuts(graph, faults, removals)
    others = f" (and {len(cut_off) - 1} more GPUs are cut off)" if len(cut_off) > 1 else ""
    message = f"without '{faults[guilty].link}' {cut_off[0].message}{others}"
    raise CannotRunError(Problem(("faults", guilty, "link"), message))


def _first_that_cuts(
    graph: nx.MultiDiGraph[str], faults: Sequence[LinkFaultSpec], removals: Sequence[int]
) -> int:
    """Bisect: links that are gone stay gone, so a prefix of the faults that cuts stays cut."""
    low, high = 0, len(removals) - 1
    while low < high:
        middle = (low + high) // 2
        if _cuts(graph, faults[: removals[middle] + 1]):
            high = middle
        else:
            low = middle + 1
    return removals[low]


def _cuts(graph: nx.MultiDiGraph[str], faults: Sequence[LinkFaultSpec]) -> bool:
    problems: Iterator[Problem] = unreachable(Topology(broken(graph, faults)))
    return next(problems, None) is not None
