"""Counts and rates in words: `8x400G`, `400G x 8`, `3.2 Tbps per node`, `50 GB/s per GPU`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from clustersim.errors import InputError

__all__ = ["GBIT", "Rates", "read_rates"]

GBIT = 1e9 / 8
"""Bytes per second of one Gbit/s."""

_QUANTITY = re.compile(
    r"(?:(?<![A-Za-z\d.-])(?P<count>\d+)\s*[xX*]\s*|(?<![A-Za-z\d.]))"
    r"(?P<value>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)\s*-?\s*"
    r"(?P<unit>[TtGgM](?:[Bb]ytes?/s|[Bb]its?/s|[Bb]/s|[Bb]ps|[Bb]E|be|igE|igabit|E|[Bb]its?|b)?)(?![A-Za-z0-9/])"
    r"(?:\s*[xX*]\s*(?P<after>\d+)\b(?!\s*[xXGgTt]))?"
)
_PER = re.compile(
    r"[\s)]*(?:[a-z-]+\s+){0,2}?(?:per|/|each)\s*-?\s*"
    r"(?P<what>node|host|server|machine|vm|instance|gpu|accelerator|gcd|nic|port|rail|adapter|hca)?",
    re.IGNORECASE,
)
_COUNTED_BEFORE = re.compile(r"(?<![\w.])(\d+)\s*[xX]\s+(?:[A-Za-z][\w-]*\s+){1,4}\(?$")
"""`4x Omni-Path 100G`, `8x NVIDIA ConnectX-7 IB NDR 400Gb/s`: what is counted stands between."""
_IN_ALL = re.compile(r"\b(?:total|aggregate|overall|node bandwidth)\b", re.IGNORECASE)
_OF_NODE = ("node", "host", "server", "machine", "vm", "instance")
_OF_GPU = ("gpu", "accelerator", "gcd")
_FASTEST_PORT = 800.0 * GBIT
_SAME = 0.02


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Ports of a node, and line rates of a port, a GPU and a node; None where not said."""

    ports: int | None = None
    port_bytes_per_s: float | None = None
    gpu_bytes_per_s: float | None = None
    node_bytes_per_s: float | None = None

    @property
    def said(self) -> bool:
        """Whether any rate is given."""
        return any((self.port_bytes_per_s, self.gpu_bytes_per_s, self.node_bytes_per_s))


class _Quantity(NamedTuple):
    of: str
    ports: int | None
    bytes_per_s: float
    words: str


def read_rates(text: str) -> Rates:
    """Read the counts and rates of adapters.

    A rate above 800 Gbit/s without a count is that of a node: no port is so fast.

    Raises
    ------
    InputError
        If two rates of one thing differ, or ports times rate is not what the node is said to have.
    """
    found: dict[str, _Quantity] = {}
    for quantity in _quantities(text):
        first = found.setdefault(quantity.of, quantity)
        if not math.isclose(first.bytes_per_s, quantity.bytes_per_s, rel_tol=_SAME):
            _refuse_unless_in_all(quantity, first)
            found.setdefault("node", quantity)
    rates = {of: found[of].bytes_per_s for of in found}
    ports = next((quantity.ports for quantity in found.values() if quantity.ports), None)
    if ports and "port" in rates and "node" in rates and not _agree(ports * rates["port"], rates["node"]):
        raise InputError(
            f"'{found['port'].words}' and '{found['node'].words}' of a node contradict each other"
        )
    return Rates(
        ports=ports,
        port_bytes_per_s=rates.get("port"),
        gpu_bytes_per_s=rates.get("gpu"),
        node_bytes_per_s=rates.get("node"),
    )


def _refuse_unless_in_all(quantity: _Quantity, first: _Quantity) -> None:
    """`4x100G (400 Gb/s)`: a second rate may be that of all ports."""
    whole = first.bytes_per_s * (first.ports or 0)
    if quantity.ports or not math.isclose(whole, quantity.bytes_per_s, rel_tol=_SAME):
        raise InputError(f"'{first.words}' and '{quantity.words}' contradict each other")


def _agree(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=0.1)


def _quantities(text: str) -> Iterator[_Quantity]:
    for found in _QUANTITY.finditer(text):
        rate = float(found["value"].replace(",", "")) * _unit_bytes_per_s(found["unit"])
        before = _COUNTED_BEFORE.search(text[: found.start()])
        count = found["count"] or found["after"] or (before and before.group(1))
        ports = int(count) if count else None
        yield _Quantity(_what_has_it(text, found, rate, ports), ports, rate, found.group().strip())


def _unit_bytes_per_s(unit: str) -> float:
    """Bytes per second of a unit: a capital B with a time is bytes, all else bits (`GbE` has none)."""
    prefix = {"T": 1e12, "G": 1e9, "M": 1e6}[unit[0].upper()]
    in_bytes = "yte" in unit or re.fullmatch(r".B(?:/s|ps)", unit)
    return prefix if in_bytes else prefix / 8


def _what_has_it(text: str, found: re.Match[str], rate: float, ports: int | None) -> str:
    """Whether a rate is that of a port, of a GPU or of a node."""
    behind = text[found.end() :]
    per = _PER.match(behind)
    what = (per["what"] or "port").lower() if per else ""
    if what in _OF_NODE and not ports:
        return "node"
    if what in _OF_GPU:
        return "gpu"
    in_all = _IN_ALL.search(behind[:24]) or _IN_ALL.search(text[max(0, found.start() - 24) : found.start()])
    return "node" if not ports and (in_all or (rate > _FASTEST_PORT and not what)) else "port"
