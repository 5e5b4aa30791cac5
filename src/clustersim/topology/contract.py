"""What an annotated graph must say to be a topology, and the check of it.

Vertices carry `kind`; GPUs also `node` and `accelerator`; switches may say their `level` and
whether they can reduce (`reduces`), GPUs whether they forward (`forwards`) and where they
stand in a grid (`coordinates`; the graph then says its `dimensions`). Links carry
`bandwidth_bytes_per_s`, `latency_s` and `kind`, and may say their `tier`.
docs/topology.md is the long form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx

from clustersim import catalog
from clustersim.errors import CatalogError, InputError, Problem, did_you_mean

__all__ = ["SCALE_UP_KINDS", "VERTEX_KINDS", "check"]

VERTEX_KINDS = ("gpu", "nic", "switch", "host", "device")
"""What a vertex may be."""

SCALE_UP_KINDS = frozenset({"nvlink", "xgmi", "ici", "neuronlink"})
"""Link kinds that join GPUs directly; inside a node they are taken before PCIe."""


def check(graph: nx.MultiDiGraph[str]) -> None:
    """Check that a graph keeps the contract.

    Raises
    ------
    InputError
        With every problem of the graph at once; a problem's path is
        `("vertices", name)` or `("links", "source>target")`.
    """
    if not (isinstance(graph, nx.Graph) and graph.is_multigraph() and graph.is_directed()):
        raise InputError(
            f"a topology is a networkx.MultiDiGraph (one edge per direction), got {type(graph).__name__}; "
            "convert it with networkx.MultiDiGraph(graph)"
        )
    problems = [*_vertex_problems(graph), *_link_problems(graph)]
    if not any(fields.get("kind") == "gpu" for _, fields in graph.nodes(data=True)):
        problems.append(Problem(("vertices",), "the graph has no vertex of kind 'gpu'"))
    if problems:
        raise InputError(problems)


def _vertex_problems(graph: nx.MultiDiGraph[str]) -> Iterator[Problem]:
    known_accelerators: dict[str, str | None] = {}
    for vertex, fields in graph.nodes(data=True):
        if not isinstance(vertex, str):
            yield Problem(
                ("vertices", str(vertex)), f"a vertex is named by text, got {type(vertex).__name__}"
            )
        for message in _vertex_messages(fields, known_accelerators):
            yield Problem(("vertices", str(vertex)), message)


def _vertex_messages(fields: Mapping[str, Any], known: dict[str, str | None]) -> Iterator[str]:
    kind = fields.get("kind")
    if kind is None:
        yield f"'kind' is missing{_near_miss('kind', fields)}; expected one of {', '.join(VERTEX_KINDS)}"
    elif kind not in VERTEX_KINDS:
        yield f"unknown kind '{kind}'.{did_you_mean(str(kind), VERTEX_KINDS)}"
    node = fields.get("node")
    if node is not None and not isinstance(node, str):
        yield f"'node' is {node!r}; expected the name of a node as text"
    level = fields.get("level")
    if level is not None and (isinstance(level, bool) or not isinstance(level, int) or level < 1):
        yield f"'level' is {level!r}; expected the tier of a switch, a whole number from 1"
    for name in ("forwards", "reduces"):
        if not isinstance(fields.get(name, False), bool):
            yield f"'{name}' is {fields[name]!r}; expected true or false"
    coordinates = fields.get("coordinates")
    if coordinates is not None and not _are_whole_numbers(coordinates):
        yield f"'coordinates' is {coordinates!r}; expected whole numbers, one per dimension"
    if kind != "gpu":
        return
    if node is None:
        yield f"a GPU needs 'node', the name of its server{_near_miss('node', fields)}"
    accelerator = fields.get("accelerator")
    if accelerator is None:
        yield f"a GPU needs 'accelerator', a name of the catalogue{_near_miss('accelerator', fields)}"
    elif message := _accelerator_message(str(accelerator), known):
        yield message


def _are_whole_numbers(values: object) -> bool:
    return isinstance(values, (tuple, list)) and all(type(value) is int for value in values)


def _accelerator_message(name: str, known: dict[str, str | None]) -> str | None:
    if name not in known:
        try:
            catalog.accelerator(name)
            known[name] = None
        except CatalogError as error:
            known[name] = str(error)
    return known[name]


def _link_problems(graph: nx.MultiDiGraph[str]) -> Iterator[Problem]:
    for source, target, fields in graph.edges(data=True):
        for message in _link_messages(fields):
            yield Problem(("links", f"{source}>{target}"), message)
        if source == target:
            yield Problem(("links", f"{source}>{target}"), "a link joins two different vertices")


def _link_messages(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, unit in (("bandwidth_bytes_per_s", "bytes per second"), ("latency_s", "seconds")):
        value = fields.get(name)
        if value is None:
            yield f"'{name}' is missing{_near_miss(name, fields)}; expected {unit} as a number"
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            yield f"'{name}' is {value!r}; expected {unit} as a finite number"
        elif value < 0 or (value == 0 and name != "latency_s"):
            bound = "zero or more" if name == "latency_s" else "more than zero"
            yield f"'{name}' is {value!r}; expected {bound}"
    overhead_s = fields.get("message_overhead_s", 0.0)
    if (
        isinstance(overhead_s, bool)
        or not isinstance(overhead_s, (int, float))
        or not 0 <= overhead_s < math.inf
    ):
        yield f"'message_overhead_s' is {overhead_s!r}; expected seconds, zero or more"
    kind = fields.get("kind")
    if not isinstance(kind, str) or not kind:
        near = _near_miss("kind", fields)
        yield f"'kind' is missing{near}; expected a technology such as nvlink, pcie, ethernet"
    if not isinstance(fields.get("tier", ""), str):
        yield f"'tier' is {fields['tier']!r}; expected text"


def _near_miss(wanted: str, fields: Mapping[str, Any]) -> str:
    """Return a hint where an attribute that is there looks like the one that is not."""
    hint = did_you_mean(wanted, (str(name) for name in fields if name != wanted))
    return f" (it has {hint.split(chr(39))[1]!r})" if "Did you mean" in hint else ""
