"""Cells of a row that say in words how a job was trained: precision, what is divided, what is recomputed."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from clustersim.errors import InputError, did_you_mean

__all__ = ["Recompute", "Sharding", "precision_of", "recompute_of", "sharding_of"]

_PRECISIONS = (
    ("nvfp4", r"(?:nv|mx)?fp4"),
    ("fp8", r"fp8|float8|[eh]4m3|hybrid 8"),
    ("bf16", r"bf16|bfloat"),
    ("fp16", r"fp16|float16|half|mixed|amp"),
    ("tf32", r"tf32|tensorfloat"),
    ("fp32", r"fp32|float32|single"),
)
_NOTHING = r"none|no|false|0(?:\.0)?|off|n/?a|ddp|dp"
_STAGE = re.compile(r"(?:deep-?speed\s*)?(?:ze?ro|stage|z)?[\s_-]*(?:stage)?[\s_-]*([0-3])(?:\.0)?\b")
_GROUP = re.compile(r"groups? of (\d+)|(\d+)\s*(?:gpus?|ranks?) (?:per|a|each) group")
_FULL = r"full|yes|true|1(?:\.0)?|on|all|checkpoint\w*|uniform|block"
_PART = re.compile(r"(\d+)\s*(?:/|of|out of)\s*(\d+)")
_HALF = r"half|every (?:other|second)|per-?\s?op|operators?|\bops?\b"


def precision_of(words: str) -> str:
    """Return the precision of matrix products.

    Raises
    ------
    InputError
        For one that is not known or not modelled.
    """
    found = [name for name, pattern in _PRECISIONS if re.search(pattern, words, re.IGNORECASE)]
    if not found:
        known = [name for name, _ in _PRECISIONS[1:]]
        raise InputError(
            f"dtype '{words}' is not known; known: {', '.join(known)}.{did_you_mean(words, known)}"
        )
    if found[0] == "nvfp4":
        raise InputError("FP4 is not modelled")
    return found[0]


class Sharding(NamedTuple):
    """ZeRO's stage, and how many replicas divide what it says: a number, `node`, or None for all."""

    stage: int
    group: int | str | None = None


def sharding_of(words: str) -> Sharding | None:
    """Read the cell on ZeRO or FSDP; None where it is empty.

    `hsdp` and `hybrid_shard` divide over the GPUs of a node (PyTorch's default of hybrid sharding).

    Raises
    ------
    InputError
        For what names no stage.
    """
    text = words.strip().lower()
    if not text:
        return None
    group = _GROUP.search(text)
    size = int(group[1] or group[2]) if group else None
    if re.search(r"hsdp|hybrid", text):
        return Sharding(3, size or "node")
    if re.search(r"grad_op|shard_grad", text):
        return Sharding(2, size)
    if re.search(r"fsdp|full_shard|fully", text):
        return Sharding(3, size)
    if re.search(r"distributed[ _-]optim|dist[_-]?opt", text):
        return Sharding(1, size)
    stage = _STAGE.match(text)
    if stage and not re.fullmatch(_NOTHING, text):
        return Sharding(int(stage[1]), size)
    if re.fullmatch(_NOTHING, text):
        return Sharding(0)
    raise InputError(f"zero_stage '{words}' is not 0, 1, 2 or 3, nor fsdp, hsdp or ddp")


class Recompute(NamedTuple):
    """`none`, `selective` or `full`, and for which share of the layers."""

    policy: str
    share: Fraction = Fraction(1)


def recompute_of(words: str) -> Recompute | None:
    """Read the cell on recomputation of activations; None where it is empty.

    Checkpoints of every other operator, which PyTorch calls selective too, are taken as those of every
    other layer: both repeat half of the products.

    Raises
    ------
    InputError
        For words that are not understood.
    """
    text = words.strip().lower()
    if not text:
        return None
    part = _PART.search(text)
    if part and 0 < int(part[1]) <= int(part[2]):
        return Recompute("full", Fraction(int(part[1]), int(part[2])))
    if re.search(_HALF, text):
        return Recompute("full", Fraction(1, 2))
    if re.fullmatch(_NOTHING, text):
        return Recompute("none")
    if "select" in text:
        return Recompute("selective")
    if re.search(rf"\b(?:{_FULL})\b", text):
        return Recompute("full")
    known = ("none", "selective", "full", "full 1/2")
    raise InputError(
        f"recompute '{words}' is not known; known: {', '.join(known)}.{did_you_mean(text, known)}"
    )
