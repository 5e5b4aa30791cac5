"""Words about the network between nodes: technology, adapters of a node and the rate of each.

`8x400G InfiniBand NDR`, `32x100G EFA (3200 Gb/s)`, `about 100 GB/s per node`, `4x HDR200`,
`ConnectX-7 RoCE`: a technology is looked for, then counts and rates, of a port, of a GPU or of a
node. What the words leave open stays None; what is taken without being said is listed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from clustersim import catalog
from clustersim.catalog.hardware.rates import GBIT, Rates, read_rates
from clustersim.catalog.links import LinkType
from clustersim.errors import CatalogError, InputError

__all__ = ["NetworkWords", "link_of_rate", "read_network"]

_TECHNOLOGIES = (
    ("tcpxo", r"tcpxo|fastrak"),
    ("tcpx", r"tcpx"),
    ("efa-v3", r"\befa\s*-?\s*v?[34]\b|\bp5en\b|\bp6-?b?\d*\b"),
    ("efa", r"\befa|elastic fabric"),
    ("slingshot", r"slingshot|cassini"),
    ("omni-path", r"omni-?\s*path|\bopa\b"),
    ("ethernet", r"\broce|converged"),
    ("infiniband", r"infini-?\s*band|\bib\b|(?:\b|\dx)[qfehnx]dr\d*\b|\bquantum\b"),
    ("tcp", r"\btcp\b|\bsockets?\b|\bena\b|\bg?v(?:e|nic)\b"),
    ("ethernet", r"\brdma\b"),
)
"""First part of the names of the catalogue's links, and what people call it; the first hit counts."""

_NOTHING = ("", "none", "-", "n/a", "na", "no", "single node")
_NOT_SAID = r"not stated|unknown|unspecified|not given"
_PLAIN_ETHERNET = r"ethernet|\d\s*(?:gbe|ge|gige)\b|gigabit|\bspectrum"
_LANES = r"\b\d+X\s*(?=[QFEHNXqfehnx][Dd][Rr])|(?<=[Dd][Rr])\s*\d+X\b"
"""`4X HDR` is one port of four lanes; `4x HDR` are four ports."""
_GENERATION = (
    r"(?:\b(\d+)\s*x\s*(?:infiniband\s+|ib\s+)?|\b)"
    r"([qfehnx]dr)(?:\s*-?\s*(40|56|100|200|400|800))?(?![\da-z])(?:\s*x\s*(\d+)\b)?"
)
_GENERATION_GBITS = {"qdr": 32.0, "fdr": 54.5, "edr": 100.0, "hdr": 200.0, "ndr": 400.0, "xdr": 800.0}
_ADAPTER = r"(?:\b(\d+)\s*x?\s*)?\b(?:nvidia\s+|mellanox\s+)?(connect-?x|cx|bluefield|bf)\s*-?\s*(\d)(?!\d)"
_ADAPTER_GBITS = {
    "x3": 54.5,
    "x4": 100.0,
    "x5": 100.0,
    "x6": 200.0,
    "x7": 400.0,
    "x8": 800.0,
    "b2": 200.0,
    "b3": 400.0,
}
_ONE_RATE_GBITS = {"tcpxo": 200.0, "tcpx": 200.0, "omni-path": 100.0}
_COUNTED = (
    r"\b(\d+|single|one|dual|two|four|quad|eight|octo?)\s*-?\s*(?:x\s*)?"
    r"(?:nics?|hcas?|adapters?|rails?|ports?|cards?|(?:hpe\s+)?slingshot|omni-?path|infiniband|efa|roce)\b"
)
_NUMBERS = {"single": 1, "one": 1, "dual": 2, "two": 2, "four": 4, "quad": 4, "eight": 8, "oct": 8, "octo": 8}
_SLOWEST_RDMA_ALONE = 200.0 * GBIT


@dataclass(frozen=True, kw_only=True)
class NetworkWords:
    """What words say about the adapters of a node; None where they do not.

    Parameters
    ----------
    technology
        First part of the names of the catalogue's links (infiniband, ethernet for RoCE, tcp,
        efa, …), or the whole name of one.
    ports
        Adapter ports of a node.
    port_bytes_per_s, gpu_bytes_per_s, node_bytes_per_s
        Line rate of a port, of all ports of a GPU, of all ports of the node.
    reduces
        Whether the switches add (SHARP).
    assumed
        What was taken though the words do not say it.
    """

    technology: str
    ports: int | None = None
    port_bytes_per_s: float | None = None
    gpu_bytes_per_s: float | None = None
    node_bytes_per_s: float | None = None
    reduces: bool = False
    assumed: tuple[str, ...] = ()


def read_network(words: str) -> NetworkWords | None:
    """Read the words about the network between nodes; None for `none`.

    Raises
    ------
    InputError
        If no technology or no rate can be made out, or two rates contradict each other.
    """
    text = _of_compute(" ".join(words.replace("×", "x").split()))
    if text.lower() in _NOTHING:
        return None
    try:
        named = catalog.link(text)
    except CatalogError:
        return _read(text)
    return NetworkWords(technology=named.name, port_bytes_per_s=named.bandwidth_bytes_per_s)


def _of_compute(text: str) -> str:
    """Return the words about the network that GPUs talk over, where several are told by what they are for.

    `Storage: 2x …, Compute: 8x …, Management: …` says so; of `1x Ethernet 100Gb/s, 8x InfiniBand
    (400Gb/s)` it is the one with the most ports.
    """
    named = re.search(r"\bcompute\s*:\s*([^,;]+)", text, re.IGNORECASE)
    if named:
        return named.group(1).strip()
    parts = [part.strip() for part in re.split(r"[,;]", text)]
    counted = {part: read_rates(part).ports or 0 for part in parts if _names_a_network(part)}
    return max(counted, key=counted.__getitem__) if len(counted) > 1 else text


def _names_a_network(text: str) -> bool:
    """Whether the words name a technology, how many ports of it and their rate."""
    known = any(re.search(pattern, text, re.IGNORECASE) for _, pattern in _TECHNOLOGIES)
    known = known or bool(re.search(_PLAIN_ETHERNET, text, re.IGNORECASE))
    return known and bool(re.match(r"\s*\d+\s*x", text, re.IGNORECASE)) and read_rates(text).said


def _read(text: str) -> NetworkWords:
    rates = read_rates(text)
    technology, assumed = _technology(text, rates)
    ports, port = rates.ports, rates.port_bytes_per_s
    for count, rate in (*_generations(text), *_adapters(text)):
        ports, port = ports or count, port or (None if rates.said else rate)
    if port is None and not rates.said:
        port = _one_rate(technology, text)
    return NetworkWords(
        technology=technology,
        ports=ports or _counted(text),
        port_bytes_per_s=port,
        gpu_bytes_per_s=rates.gpu_bytes_per_s,
        node_bytes_per_s=rates.node_bytes_per_s,
        reduces=bool(re.search(r"\bsharp\b", text, re.IGNORECASE)),
        assumed=assumed,
    )


def link_of_rate(technology: str, port_bytes_per_s: float) -> LinkType:
    """Return the catalogue's link of a technology that is nearest in rate, set to this line rate."""
    shelf = catalog.names("links")
    names = [name for name in shelf if name == technology or re.match(rf"{technology}-(?!v\d)", name)]
    known = [catalog.link(name) for name in names]
    nearest = min(known, key=lambda link: abs(math.log(link.bandwidth_bytes_per_s / port_bytes_per_s)))
    if math.isclose(nearest.bandwidth_bytes_per_s, port_bytes_per_s, rel_tol=0.05):
        return nearest
    name = f"{technology}-{port_bytes_per_s / GBIT:g}g"
    return replace(nearest, name=name, bandwidth_bytes_per_s=port_bytes_per_s)


def _technology(text: str, rates: Rates) -> tuple[str, tuple[str, ...]]:
    """Technology and, where it is not said, what was assumed."""
    lowered = text.lower()
    for technology, pattern in _TECHNOLOGIES:
        if re.search(pattern, lowered):
            return technology, ()
    adapter = bool(re.search(_ADAPTER, lowered))
    if re.search(_PLAIN_ETHERNET, lowered):
        fast = adapter or (rates.port_bytes_per_s or 0.0) >= _SLOWEST_RDMA_ALONE
        technology = "ethernet" if fast else "tcp"
        said = "RoCE" if fast else "TCP"
        return technology, (f"Ethernet without a word on the transport: {said}",)
    if adapter or rates.said:
        return "infiniband", ("network technology not stated: InfiniBand",)
    if re.search(_NOT_SAID, lowered):
        raise InputError("the source does not say which network it is")
    known = ", ".join(dict.fromkeys(technology for technology, _ in _TECHNOLOGIES))
    raise InputError(f"'{text}' names no network technology that is known; known: {known}, RoCE (ethernet)")


def _generations(text: str) -> Iterator[tuple[int | None, float]]:
    """Ports and rate of each InfiniBand generation that is named: `4x HDR200`, `NDR400`."""
    for before, name, gbits, after in re.findall(_GENERATION, re.sub(_LANES, " ", text), re.IGNORECASE):
        count = before or after
        yield int(count) if count else None, float(gbits or _GENERATION_GBITS[name.lower()]) * GBIT


def _adapters(text: str) -> Iterator[tuple[int | None, float]]:
    """Ports and rate of each adapter that is named: `8x ConnectX-7`, `BlueField-3`."""
    for count, family, number in re.findall(_ADAPTER, text, re.IGNORECASE):
        rate = _ADAPTER_GBITS.get(("b" if family[0] in "bB" else "x") + number)
        if rate:
            yield int(count) if count else None, rate * GBIT


def _counted(text: str) -> int | None:
    """`8 NICs`, `dual-rail`."""
    found = re.search(_COUNTED, text, re.IGNORECASE)
    if not found:
        return None
    word = found.group(1).lower()
    return int(word) if word.isdigit() else _NUMBERS[word]


def _one_rate(technology: str, text: str) -> float | None:
    """Rate of a technology that comes in one; None where an instance's name may still say it."""
    if technology == "slingshot":
        return (100.0 if re.search(r"slingshot\s*-?\s*10\b", text, re.IGNORECASE) else 200.0) * GBIT
    if technology in _ONE_RATE_GBITS:
        return _ONE_RATE_GBITS[technology] * GBIT
    return None
