"""Words about accelerators: `NVIDIA A100-SXM4-80GB`, `Tesla V100 PCIe`, `8x GB200 NVL72`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from clustersim import catalog
from clustersim.catalog._store import Record, Shelf, Source
from clustersim.errors import InputError, did_you_mean

__all__ = ["SHELF", "GpuFamily", "GpuWords", "read_gpu"]

_NOT_SAID = r"not stated|unknown|unspecified|not given"
_TAIL = r"(?=$|[^a-z0-9]|sxm|pcie|nvl|x\d|gb\b)"
_BOARD = r"sxm|nvswitch|hgx|dgx|oam"
_CARD = r"pcie|\bnvl(?!\d|ink)|pci-?e"


@dataclass(frozen=True, kw_only=True)
class GpuFamily:
    """Accelerators that are wired alike, and the node types that stand for servers with them.

    Parameters
    ----------
    words
        Regular expression of what people call it.
    boards
        Node type by layout (`switch`, `mesh`, `lanes`) of its NVLink or the like.
    usual
        Layout by number of GPUs where the words do not say.
    scale_up
        Link that replaces the one of the board's node type; None: as there.
    card
        Node type of the PCIe form; None: not sold so.
    bridge
        Link of the bridge that joins two cards; None: there is none.
    peers
        GPUs of a PCIe node that copy to each other without the host; None: all.
    domain
        GPUs that one NVLink domain over several trays may hold; None: boxes only.
    """

    name: str
    words: str
    boards: Mapping[str, str]
    usual: Mapping[int, str]
    scale_up: str | None
    card: str | None
    bridge: str | None
    peers: int | None
    domain: int | None
    sources: Mapping[str, Source]


class GpuWords(NamedTuple):
    """What words say about an accelerator; None where they do not."""

    family: GpuFamily | None
    form: str | None
    """`board` or `card`."""
    memory_gb: int | None


def _build(record: Record) -> GpuFamily:
    fields = record.fields
    return GpuFamily(
        name=record.name,
        words=fields["words"],
        boards=MappingProxyType(fields.get("boards", {})),
        usual=MappingProxyType(fields.get("usual", {})),
        scale_up=fields.get("scale_up"),
        card=fields["card"],
        bridge=fields.get("bridge"),
        peers=fields.get("peers"),
        domain=fields.get("domain"),
        sources=record.sources,
    )


SHELF: Shelf[GpuFamily] = Shelf("GPU family", file="hardware.yaml", build=_build)


def read_gpu(words: str) -> GpuWords:
    """Read the words about an accelerator; its family is None where they say that it is not stated.

    Raises
    ------
    InputError
        For an accelerator that is not known.
    """
    text = re.sub(r"[\s_-]+", " ", words.lower()).strip()
    if not text or re.search(_NOT_SAID, text) or text == "none":
        return GpuWords(None, None, None)
    found = [
        (match.start(), -len(match.group()), name)
        for name in SHELF.names()
        if (match := re.search(rf"(?<![a-z0-9])(?:{SHELF.get(name).words}){_TAIL}", text))
    ]
    if not found:
        raise InputError(f"GPU '{words}' is not known.{did_you_mean(words, SHELF.names())}")
    memory = re.search(r"\b(\d+)\s*g(?:i?b)?\b", text)
    form = "board" if re.search(_BOARD, text) else "card" if re.search(_CARD, text) else None
    return GpuWords(SHELF.get(min(found)[2]), form, int(memory.group(1)) if memory else None)


def accelerator_of(gpu: GpuWords, *, default: str) -> str:
    """Return the catalogue's accelerator of a family, form and memory; `default` where none fits.

    Where the words do not say the form, it is that of `default`.
    """
    family = gpu.family
    if family is None:
        return default
    forms = {"board": ("sxm",), "card": ("pcie", "nvl")}
    of_default = next((form for form, words in forms.items() if any(word in default for word in words)), "")
    form = forms.get(gpu.form or of_default, ())
    names = [name for name in catalog.names("accelerators") if name.split("-")[0] == family.name]
    fitting = [name for name in names if not form or any(word in name for word in form)] or names
    exact = [name for name in fitting if gpu.memory_gb and name.endswith(f"-{gpu.memory_gb}gb")]
    if default in (exact or fitting):
        return default
    return next(iter(exact or fitting), default)
