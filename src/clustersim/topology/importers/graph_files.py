"""Reading graphs of one's own: GraphML and node-link JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx

from clustersim.errors import InputError, Problem
from clustersim.units import BANDWIDTH, TIME, Dimension, parse_quantity

__all__ = ["read_graph", "write_graph"]

_QUANTITIES: Mapping[str, tuple[str, Dimension]] = {
    "bandwidth": ("bandwidth_bytes_per_s", BANDWIDTH),
    "latency": ("latency_s", TIME),
    "message_overhead": ("message_overhead_s", TIME),
}

_PLACES = frozenset({"coordinates", "dimensions"})
"""Attributes that hold several whole numbers."""


def read_graph(path: Path) -> nx.MultiDiGraph[str]:
    """Read a graph from a `.graphml` or a node-link `.json` file.

    An undirected graph gets a link in each direction. Links may say `bandwidth: "100 Gbit/s"`
    and `latency: "1 us"` instead of `bandwidth_bytes_per_s` and `latency_s`. The contract is
    not checked here but by `from_graph`.

    Raises
    ------
    InputError
        If the file is missing, is of another format or cannot be parsed, and with every
        quantity that cannot be read.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"cannot read a graph from '{path.name}'; expected a file in {', '.join(_READERS)}")
    try:
        found = reader(path)
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}") from None
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(found)
    _read_places(graph)
    if not all(isinstance(vertex, str) for vertex in graph):
        graph = nx.relabel_nodes(graph, {vertex: str(vertex) for vertex in graph})
    problems = list(_convert_quantities(graph))
    if problems:
        raise InputError(problems)
    return graph


def write_graph(graph: nx.MultiDiGraph[str], path: Path) -> None:
    """Write a graph so that `read_graph` gives it back: `.graphml` or node-link `.json`."""
    if path.suffix.lower() == ".graphml":
        nx.write_graphml_xml(_with_places_as_text(graph), path)
    elif path.suffix.lower() == ".json":
        path.write_text(json.dumps(nx.node_link_data(graph, edges="links"), indent=1), encoding="utf-8")
    else:
        raise InputError(f"cannot write a graph to '{path.name}'; expected a file in {', '.join(_READERS)}")


def _read_graphml(path: Path) -> nx.Graph[Any]:
    try:
        graph: nx.Graph[Any] = nx.read_graphml(path, force_multigraph=True)
    except (ParseError, nx.NetworkXError, KeyError, ValueError) as error:
        raise InputError(f"not readable as GraphML: {error}") from None
    for defaults in ("node_default", "edge_default"):
        graph.graph.pop(defaults, None)
    return graph


def _read_json(path: Path) -> nx.Graph[Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"not readable as JSON: {error}") from None
    links = next((key for key in ("links", "edges") if isinstance(data, dict) and key in data), None)
    if links is None or "nodes" not in data:
        raise InputError(
            "not a node-link graph: expected an object with lists 'nodes' and 'links' (or 'edges')"
        )
    try:
        return nx.node_link_graph(data, edges=links)
    except (nx.NetworkXError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"not a node-link graph: {type(error).__name__} at {error}") from None


_READERS: Mapping[str, Callable[[Path], nx.Graph[Any]]] = {".graphml": _read_graphml, ".json": _read_json}


def _with_places_as_text(graph: nx.MultiDiGraph[str]) -> nx.MultiDiGraph[str]:
    """Return a copy that GraphML can hold: it knows no lists."""
    copy: nx.MultiDiGraph[str] = nx.MultiDiGraph(graph)
    for fields in _with_places(copy):
        fields.update({name: " ".join(map(str, fields[name])) for name in _PLACES if name in fields})
    return copy


def _read_places(graph: nx.MultiDiGraph[str]) -> None:
    """Turn `coordinates` and `dimensions`, text in GraphML and lists in JSON, into whole numbers."""
    for fields in _with_places(graph):
        for name in _PLACES & fields.keys():
            values = fields[name]
            if isinstance(values, str) and values.replace(" ", "").isdecimal():
                values = tuple(map(int, values.split()))
            fields[name] = tuple(values) if isinstance(values, list) else values


def _with_places(graph: nx.MultiDiGraph[str]) -> Iterator[dict[str, Any]]:
    yield graph.graph
    for _, fields in graph.nodes(data=True):
        yield fields


def _convert_quantities(graph: nx.MultiDiGraph[str]) -> Iterator[Problem]:
    for source, target, fields in graph.edges(data=True):
        for name, (si_name, dimension) in _QUANTITIES.items():
            if name not in fields:
                continue
            text = fields.pop(name)
            try:
                fields[si_name] = parse_quantity(str(text), dimension)
            except InputError as error:
                yield Problem(("links", f"{source}>{target}", name), str(error))
