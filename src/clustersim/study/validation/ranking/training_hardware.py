"""From the words of a row of ranking-model training to the hardware that it ran on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from clustersim import catalog
from clustersim.catalog.hardware import Hardware, understand
from clustersim.errors import InputError
from clustersim.study.validation.ranking.training_row import RankingTrainingRow

__all__ = ["hardware_of"]

_DOMAINS = re.compile(r"\bnvl\s*-?(?:72|36)\b|\bgb[23]00\b", re.IGNORECASE)
_DIRECT = "PCIe with P2P"
_DIRECT_SAID = "GPUs copy to each other over PCIe switches, as in servers that are set up for MLPerf"
_BRIDGED = re.compile(r"h200\W*nvl(?!\d|ink)", re.IGNORECASE)
_BRIDGE_OF = 4
_BRIDGE_SAID = "H200 NVL: an NVLink bridge joins up to four cards"
_ETHERNET = re.compile(r"ethernet|roce|\d+\s*gbe\b|infiniband", re.IGNORECASE)


class _Words(NamedTuple):
    """One reading of a row: words on links, and what it takes for granted."""

    scale_up: str
    scale_out: str | None
    assumed: tuple[str, ...] = ()


def hardware_of(row: RankingTrainingRow) -> Hardware:
    """Return the hardware that a row names.

    Submitters describe links in words that contradict their GPU (`NVLINK 3.0` of H100), or leave the rate
    of the network out (`Infiniband`): then the links are those that the GPU and the node type come with,
    and `Hardware.assumed` says so. GPUs of MLPerf's PCIe servers copy to each other directly; up to four
    H200 NVL are joined by their bridge.

    Raises
    ------
    InputError
        With the word that is not understood.
    """
    if _DOMAINS.search(f"{row.gpu} {row.system}"):
        return _one_domain(row)
    found = _first_understood(row)
    if found.is_staged and "mlperf" in row.table.lower():
        return replace(_one(row, _DIRECT, row.nodes_of), assumed=(*found.assumed, _DIRECT_SAID))
    return found


def _first_understood(row: RankingTrainingRow) -> Hardware:
    """Return the hardware by the first reading that makes sense.

    Raises
    ------
    InputError
        With what the words themselves are refused for.
    """
    refused: InputError | None = None
    for words in _readings(row):
        try:
            return _understood(row, words)
        except InputError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _readings(row: RankingTrainingRow) -> Iterator[_Words]:
    """Yield the row's words, then what is left of them when one part is not taken at its word."""
    if row.nodes == 1:
        if not row.scale_up and 1 < row.gpus <= _BRIDGE_OF and _BRIDGED.search(row.gpu):
            yield _Words("NVLink mesh", None, (_BRIDGE_SAID,))
        yield _Words(row.scale_up, None)
        yield _Words("", None, (f"'{row.scale_up}' is not what joins such GPUs: their usual links",))
        return
    yield _Words(row.scale_up, row.scale_out)
    if _ETHERNET.search(row.scale_up):
        yield _Words("", row.scale_up, (f"'{row.scale_up}' is the network between nodes",))
    said = f"'{row.scale_out}' gives no rate: the network of the node type"
    yield _Words(row.scale_up, None, (said,))
    yield _Words("", None, (said, f"'{row.scale_up}' is not what joins such GPUs: their usual links"))


def _understood(row: RankingTrainingRow, words: _Words) -> Hardware:
    if row.nodes > 1 and words.scale_out is not None:
        found = understand(
            gpu=row.gpu,
            nodes=row.nodes,
            gpus_per_node=row.nodes_of,
            intra_link=words.scale_up,
            inter_link=words.scale_out,
            system=row.system,
        )
    else:
        found = _joined(_one(row, words.scale_up, row.nodes_of), row.nodes)
    return replace(found, assumed=(*found.assumed, *words.assumed))


def _one_domain(row: RankingTrainingRow) -> Hardware:
    """Return trays that one NVLink domain joins as one node."""
    return _one(row, "", row.gpus)


def _one(row: RankingTrainingRow, scale_up: str, gpus: int) -> Hardware:
    return understand(gpu=row.gpu, nodes=1, gpus_per_node=gpus, intra_link=scale_up, system=row.system)


def _joined(one: Hardware, nodes: int) -> Hardware:
    """Return so many nodes, joined by the network that they come with."""
    if nodes == 1:
        return one
    return replace(one, nodes=nodes, link=catalog.link(one.node.nic_link))
