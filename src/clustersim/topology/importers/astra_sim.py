"""Reading the network file of ASTRA-sim's analytical backend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx

from clustersim.errors import InputError, PathPart, Problem, did_you_mean
from clustersim.spec import yaml_io
from clustersim.topology.builders.wiring import add_switches, connect

__all__ = ["read_astra_sim"]

_GB = float(1 << 30)
_BLOCKS = ("Ring", "FullyConnected", "Switch")
_FIELDS = ("topology", "npus_count", "bandwidth", "latency")


@dataclass(frozen=True)
class _Dimension:
    block: str
    size: int
    bandwidth_bytes_per_s: float
    latency_s: float


def read_astra_sim(path: Path, *, accelerator: str) -> nx.MultiDiGraph[str]:
    """Read a `network.yml` of ASTRA-sim as a graph of NPUs that forward.

    *Equation.* NPU n stands at (n mod c_0, ⌊n/c_0⌋ mod c_1, …) for the `npus_count` c. Along
    dimension i the c_i NPUs that differ only there are joined as `topology` says: `Ring` to
    both neighbours, `FullyConnected` all to all, `Switch` each to one switch; each link has
    the dimension's bandwidth, in 2³⁰ B/s as ASTRA-sim reads "GB/s", and its latency in ns.
    With several dimensions the NPUs of the first are one node, else each is its own.

    Parameters
    ----------
    accelerator
        What each NPU is.

    Raises
    ------
    InputError
        With everything in the file that cannot be understood, with line and column. Fields
        beyond the four are passed over.

    **Valid when** traffic takes shortest paths; ASTRA-sim goes one dimension after the other.
    **Source:** astra-sim/astra-network-analytical, common/network-parser and congestion_aware.
    **Checked by:** tests/topology/test_astra_sim.py.
    """
    document = yaml_io.read(path, label=path.name)
    problems = [*document.problems, *_problems(document.data)]
    if problems:
        raise InputError([document.place.locate(problem) for problem in problems])
    columns = (document.data[name] for name in _FIELDS)
    dimensions = [
        _Dimension(block, count, bandwidth * _GB, latency * 1e-9)
        for block, count, bandwidth, latency in zip(*columns, strict=True)
    ]
    return _graph(dimensions, accelerator=accelerator)


def _problems(data: Any) -> Iterator[Problem]:
    if not isinstance(data, dict):
        yield Problem((), "expected the fields topology, npus_count, bandwidth and latency")
        return
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "topology": (lambda value: value in _BLOCKS, "Ring, FullyConnected or Switch"),
        "npus_count": (lambda value: type(value) is int and value > 0, "a whole number from 1"),
        "bandwidth": (lambda value: _is_number(value) and value > 0, "GB/s, more than zero"),
        "latency": (lambda value: _is_number(value) and value >= 0, "ns, zero or more"),
    }
    for name, (is_right, expected) in checks.items():
        yield from _list_problems(data, name, is_right, expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _list_problems(
    data: dict[str, Any], name: str, is_right: Callable[[Any], bool], expected: str
) -> Iterator[Problem]:
    values = data.get(name)
    if name not in data:
        near = did_you_mean(name, (str(key) for key in data if key not in _FIELDS))
        hint = f" (it has {near.split(chr(39))[1]!r})" if "Did you mean" in near else ""
        yield Problem((), f"'{name}' is missing{hint}")
        return
    if not isinstance(values, list) or not values:
        yield Problem((name,), f"expected a list with one item per dimension, got {values!r}")
        return
    dimensions = data.get("topology")
    if isinstance(dimensions, list) and len(values) != len(dimensions):
        yield Problem((name,), f"has {len(values)} items, 'topology' has {len(dimensions)}")
    for number, value in enumerate(values):
        if not is_right(value):
            path: tuple[PathPart, ...] = (name, number)
            yield Problem(path, f"expected {expected}, got {value!r}")


def _graph(dimensions: Sequence[_Dimension], *, accelerator: str) -> nx.MultiDiGraph[str]:
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    sizes = tuple(dimension.size for dimension in dimensions)
    names: dict[tuple[int, ...], str] = {}
    per_node = sizes[0] if len(sizes) > 1 else 1
    for number, reverse in enumerate(itertools.product(*(range(size) for size in reversed(sizes)))):
        at, node = reverse[::-1], f"node{number // per_node}"
        names[at] = f"{node}/gpu{number % per_node}"
        graph.add_node(
            names[at], kind="gpu", node=node, accelerator=accelerator, coordinates=at, forwards=True
        )
    for n, dimension in enumerate(dimensions):
        others = [range(size) if m != n else (0,) for m, size in enumerate(sizes)]
        for corner in itertools.product(*others):
            line = [names[(*corner[:n], place, *corner[n + 1 :])] for place in range(dimension.size)]
            switch = ".".join(str(place) for m, place in enumerate(corner) if m != n)
            _join(graph, line, dimension, tier=f"dimension {n}", switch=f"switch{n}-{switch}".rstrip("-"))
    graph.graph.update(dimensions=sizes, symmetric=True)
    return graph


def _join(
    graph: nx.MultiDiGraph[str], line: Sequence[str], dimension: _Dimension, *, tier: str, switch: str
) -> None:
    """Lay the links of one dimension among the NPUs that differ only there."""
    if len(line) == 1:
        return
    if dimension.block == "Switch":
        add_switches(graph, [switch], level=1)
        pairs = [(npu, switch) for npu in line]
    elif dimension.block == "Ring" and len(line) > 2:
        pairs = list(itertools.pairwise([*line, line[0]]))
    else:
        pairs = list(itertools.combinations(line, 2))
    rate, latency_s = dimension.bandwidth_bytes_per_s, dimension.latency_s
    for one, other in pairs:
        connect(graph, one, other, bandwidth_bytes_per_s=rate, latency_s=latency_s, kind="ici", tier=tier)
