"""Words about the links inside a node: `NVLink4 NVSwitch`, `PCIe Gen4 x16 (no NVLink)`, `xGMI full mesh`."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["InsideWords", "read_inside"]

_LAYOUTS = (
    ("pairs", r"\bbridges?\b|\bpairs?\b|pair-?wise"),
    ("lanes", r"cube|hybrid"),
    ("switch", r"nv\s*-?\s*switch|\bnvl\s*\d\d|\bswitch(?:ed)?\b"),
    ("mesh", r"mesh|fully[ -]connected|all[ -]to[ -]all|point[ -]to[ -]point"),
)
_NO_PEERS = (
    r"(?:no|without|w/o|lacks?|disabled)\s+(?:gpu\s+)?(?:p2p|peer)|p2p\s*(?:is\s*)?(?:off|disabled|=\s*0)"
    r"|(?:through|via) (?:the )?host|\bshm\b"
)
_PEERS = r"(?:with|has)\s+(?:p2p|peer)|p2p\s*(?:on|enabled)"
_NO_NVLINK = r"\(?\bno\s+nv\s*-?\s*link\)?|without nv\s*-?\s*link"


class InsideWords(NamedTuple):
    """What words say about the links inside a node; None where they do not.

    `technology` is nvlink, xgmi or pcie; `generation` that of NVLink, `pcie_generation` that of
    PCIe; `layout` is switch, mesh, lanes or pairs.
    """

    technology: str | None = None
    generation: int | None = None
    layout: str | None = None
    pcie_generation: int | None = None
    peer_to_peer: bool | None = None


def read_inside(words: str) -> InsideWords:
    """Read the words about the links inside a node."""
    text = re.sub(_NO_NVLINK, "pcie", words.lower())
    pcie = re.search(r"pci-?e?\s*-?\s*(?:express\s*)?(?:gen\s*|v)?\s*([3456])\b", text)
    peers = False if re.search(_NO_PEERS, text) else True if re.search(_PEERS, text) else None
    nvlink = re.search(r"nv\s*-?\s*link\s*-?\s*(?:v|gen\s*)?\s*([1-5])?\b", text)
    layout = next((name for name, pattern in _LAYOUTS if re.search(pattern, text)), None)
    if nvlink or re.search(r"nv\s*-?\s*switch|\bnvl\s*\d\d|\bnv\d+\b", text):
        technology: str | None = "nvlink"
    elif re.search(r"xgmi|infinity\s*fabric", text):
        technology = "xgmi"
    elif pcie or "pci" in text or "nothing" in text:
        technology, layout = "pcie", None
    else:
        technology = None
    return InsideWords(
        technology=technology,
        generation=int(nvlink.group(1)) if nvlink and nvlink.group(1) else None,
        layout=layout if technology else None,
        pcie_generation=int(pcie.group(1)) if pcie else None,
        peer_to_peer=peers,
    )
