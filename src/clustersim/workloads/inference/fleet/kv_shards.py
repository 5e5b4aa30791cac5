"""Which part of a request's KV is on which GPU, and who sends what to whom when the layouts differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

__all__ = ["KvShards", "Resharding", "resharded"]

Span = tuple[float, float]
"""From one fraction to another."""
_LEAST = 1e-9
"""Narrower overlaps are rounding."""


@dataclass(frozen=True)
class KvShards:
    """How the GPUs that have a request divide the KV of a token: by layers and by heads.

    Parameters
    ----------
    gpus
        Stage by stage, in each stage tensor rank by tensor rank.
    stage_ends
        Where the layers of each pipeline stage end, as fractions of all; the last is 1.
    heads
        Different parts of the heads: fewer than ranks where several ranks hold the same heads (more
        ranks than KV heads), and 1 for a latent cache, which every rank has whole.
    """

    gpus: Sequence[str]
    stage_ends: tuple[float, ...]
    heads: int

    def shards(self) -> Iterator[tuple[str, int, Span, Span]]:
        """Yield for each GPU its name, rank, span of the layers and span of the heads."""
        tensor = len(self.gpus) // len(self.stage_ends)
        stages = list(pairwise((0.0, *self.stage_ends)))
        for number, gpu in enumerate(self.gpus):
            stage, rank = divmod(number, tensor)
            part = rank * self.heads // tensor
            yield gpu, rank, stages[stage], (part / self.heads, (part + 1) / self.heads)


class Resharding(NamedTuple):
    """Who sends what to whom.

    `parts`: share of the bytes by (source, target), 1 together. `copies`: those bytes over the KV's own.
    """

    parts: dict[tuple[str, str], float]
    copies: float


def resharded(source: KvShards, target: KvShards) -> Resharding:
    """Return which GPU of the source sends which part to which GPU of the target.

    Each GPU of the target gets the layers and heads that it will attend with, from GPUs of the source
    that hold them; where several hold the same, the targets take turns among them.

    *Equation.* Bytes of a pair = overlap of layers · overlap of heads · KV. Their sum is the KV itself
    where no two ranks of the target hold the same heads, else as many times that as each is held.

    **Checked by:** tests/workloads/test_inference_kv_shards.py.
    """
    area: dict[tuple[str, str], float] = {}
    for gpu, rank, layers, heads in target.shards():
        holders: dict[tuple[float, float, float], list[str]] = {}
        for other, _, its_layers, its_heads in source.shards():
            overlap = _overlap(layers, its_layers) * _overlap(heads, its_heads)
            if overlap:
                holders.setdefault((its_layers[0], its_heads[0], overlap), []).append(other)
        for (_, _, overlap), gpus in holders.items():
            pair = gpus[rank % len(gpus)], gpu
            area[pair] = area.get(pair, 0.0) + overlap
    copies = sum(area.values())
    return Resharding({pair: size / copies for pair, size in area.items()}, copies)


def _overlap(one: Span, other: Span) -> float:
    width = min(one[1], other[1]) - max(one[0], other[0])
    return width if width > _LEAST else 0.0
