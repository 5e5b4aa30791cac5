"""Parameters of `catalog/data/collectives.yaml` by name, and the simplex that fits them.

A name is `base`, `FAMILY.copy`, `FAMILY.base`, or `FAMILY.PROTOCOL.start|step|efficiency`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from clustersim.catalog.collectives import CollectiveCosts

_FIELDS = {"start": "start_latency_s", "step": "step_latency_s", "efficiency": "bandwidth_efficiency"}
_LEAST_S, _MOST_S = 1e-8, 5e-3
_LEAST_EFFICIENCY = 0.005
_MOST_EFFICIENCY = {"ll": 0.5, "ll128": 0.9375, "simple": 0.998}
"""LL sends four bytes of flag with four of data, LL128 eight with 120: NCCL, src/include/device.h."""
_LEAST_COPY, _MOST_COPY = 0.01, 2.0


class Tie(NamedTuple):
    """A parameter that follows another at a distance."""

    name: str
    follows: str
    more_s: float = 0.0


def value(entry: CollectiveCosts, name: str) -> float:
    """Return a parameter of an entry."""
    if name == "base":
        return entry.base_latency_s
    family, what, *field = name.split(".")
    protocols = entry.families[family]
    if what == "copy":
        return next(iter(protocols.values())).local_copy
    if what == "base":
        return entry.base_latency_s + next(iter(protocols.values())).start_latency_s
    return float(getattr(protocols[what], _FIELDS[field[0]]))


def with_value(entry: CollectiveCosts, name: str, number: float) -> CollectiveCosts:
    """Return the entry with one parameter changed."""
    if name == "base":
        return replace(entry, base_latency_s=number)
    family, what, *field = name.split(".")
    protocols = dict(entry.families[family])
    if what == "copy":
        protocols = {key: replace(protocol, local_copy=number) for key, protocol in protocols.items()}
    elif what == "base":
        start_s = number - entry.base_latency_s
        protocols = {key: replace(protocol, start_latency_s=start_s) for key, protocol in protocols.items()}
    else:
        protocols[what] = replace(protocols[what], **{_FIELDS[field[0]]: number})
    return replace(entry, families={**entry.families, family: protocols})


def with_vector(
    entry: CollectiveCosts, names: Sequence[str], vector: np.ndarray, ties: Sequence[Tie]
) -> CollectiveCosts:
    """Return the entry with the parameters of a vector, and those tied to them."""
    for name, number in zip(names, vector, strict=True):
        entry = with_value(entry, name, _decoded(name, float(number)))
    for tie in ties:
        entry = with_value(entry, tie.name, max(0.0, value(entry, tie.follows) + tie.more_s))
    return entry


def vector_of(entry: CollectiveCosts, names: Sequence[str]) -> np.ndarray:
    """Return logarithms of latencies and copies, and logits of efficiencies."""
    return np.array([_encoded(name, value(entry, name)) for name in names])


def _limits(name: str) -> tuple[float, float]:
    if name.endswith("efficiency"):
        return _LEAST_EFFICIENCY, _MOST_EFFICIENCY[name.split(".")[1]]
    return (_LEAST_COPY, _MOST_COPY) if name.endswith("copy") else (_LEAST_S, _MOST_S)


def _encoded(name: str, number: float) -> float:
    low, high = _limits(name)
    number = min(max(number, low), high)
    return math.log(number / (1 - number)) if name.endswith("efficiency") else math.log(number)


def _decoded(name: str, number: float) -> float:
    low, high = _limits(name)
    limited = min(max(number, _encoded(name, low)), _encoded(name, high))
    return 1 / (1 + math.exp(-limited)) if name.endswith("efficiency") else math.exp(limited)


def nelder_mead(loss: Callable[[np.ndarray], float], start: np.ndarray, *, scale: float) -> np.ndarray:
    """Minimise by the simplex of Nelder and Mead (1965)."""
    points = [start, *(start + scale * axis for axis in np.eye(len(start)))]
    values = [loss(point) for point in points]
    for _ in range(60 * len(start)):
        order = np.argsort(values)
        points, values = [points[i] for i in order], [values[i] for i in order]
        if values[-1] - values[0] < 1e-5:
            break
        middle = np.mean(points[:-1], axis=0)
        reach = middle - points[-1]
        tried = [(loss(middle + reach), middle + reach)]
        if tried[0][0] < values[0]:
            tried.append((loss(middle + 2 * reach), middle + 2 * reach))
        elif tried[0][0] >= values[-2]:
            tried.append((loss(middle - 0.5 * reach), middle - 0.5 * reach))
        best, point = min(tried, key=lambda option: option[0])
        if best < values[-1]:
            points[-1], values[-1] = point, best
        else:
            points = [points[0] + 0.5 * (point - points[0]) for point in points]
            values = [loss(point) for point in points]
    return points[int(np.argmin(values))]
