"""Which kernels a calibration runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["PLANS", "Plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes of the kernels.

    Parameters
    ----------
    rows, weights
        Products: every number of rows with every shape of a weight matrix (n, k).
    lengths, heads
        Attention: numbers of tokens; query heads, key-value heads and their width. A batch of
        `attention_tokens` tokens in all.
    contexts
        Decode attention: tokens in the cache of each of `decode_batch` sequences.
    copies
        Bytes: few, whose latency shows, and more than any cache holds.
    norms
        Rows and width.
    hold_s
        How long the largest product runs without a pause, for the rate that the device holds.
    """

    rows: tuple[int, ...]
    weights: tuple[tuple[int, int], ...]
    lengths: tuple[int, ...]
    heads: tuple[tuple[int, int, int], ...]
    attention_tokens: int
    contexts: tuple[int, ...]
    decode_batch: int
    copies: tuple[int, ...]
    norms: tuple[tuple[int, int], ...]
    hold_s: float


PLANS: Mapping[str, Plan] = MappingProxyType(
    {
        "gpu": Plan(
            rows=(1, 16, 64, 256, 1024, 4096, 8192),
            weights=((1024, 4096), (4096, 4096), (4096, 16384), (16384, 4096), (8192, 8192)),
            lengths=(512, 2048, 8192),
            heads=((32, 8, 128), (32, 32, 128), (32, 32, 64)),
            attention_tokens=8192,
            contexts=(512, 2048, 8192),
            decode_batch=32,
            copies=(2**12, 2**16, 2**28, 2**30),
            norms=((256, 4096), (4096, 4096), (16384, 8192)),
            hold_s=4.0,
        ),
        "cpu": Plan(
            rows=(16, 64, 256, 1024),
            weights=((256, 1024), (1024, 1024), (1024, 4096), (4096, 1024)),
            lengths=(128, 256, 512),
            heads=((8, 2, 64), (8, 8, 64)),
            attention_tokens=512,
            contexts=(256, 1024, 4096),
            decode_batch=4,
            copies=(2**10, 2**12, 2**25, 2**27),
            norms=((64, 1024), (1024, 1024), (4096, 1024)),
            hold_s=1.0,
        ),
        "quick": Plan(
            rows=(16, 64, 256),
            weights=((64, 128), (128, 128), (256, 256)),
            lengths=(32, 64),
            heads=((4, 2, 64), (4, 4, 64)),
            attention_tokens=64,
            contexts=(32, 128),
            decode_batch=2,
            copies=(2**10, 2**20),
            norms=((16, 128), (128, 256)),
            hold_s=0.2,
        ),
    }
)
"""By name: for GPUs (a few minutes), for processors, and a few tiny kernels to see whether it works."""
