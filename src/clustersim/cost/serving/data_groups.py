"""How the requests of a step lie on the groups of data-parallel attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["GroupLoad", "busiest_group"]

Chunk = tuple[int, int]


class GroupLoad(NamedTuple):
    """What one data group computes in a step; `tokens` are its rows of every product."""

    decodes: int
    context_sum: float
    chunks: Sequence[Chunk]
    sampled: int
    tokens: int


def busiest_group(
    *, decodes: int, context_sum: float, chunks: Sequence[Chunk], sampled: int, groups: int, queries: int = 1
) -> GroupLoad:
    """Return the load of the group with most tokens: the others wait for it at every layer.

    Decodes are dealt out evenly, ⌈b/d⌉ to the busiest, with the mean context; prompt chunks go, the longest
    first, to the group with the fewest tokens.

    **Valid when** the engine balances its groups so (vLLM and SGLang do at admission).
    **Checked by:** tests/cost/test_serving_layout.py.
    """
    tokens = decodes * queries + sum(new for new, _ in chunks)
    if groups == 1:
        return GroupLoad(decodes, context_sum, chunks, sampled, tokens)
    each, more = divmod(decodes, groups)
    counts = [each + (group < more) for group in range(groups)]
    totals = [queries * count for count in counts]
    dealt: list[list[Chunk]] = [[] for _ in range(groups)]
    for chunk in sorted(chunks, reverse=True):
        place = totals.index(min(totals))
        dealt[place].append(chunk)
        totals[place] += chunk[0]
    place = totals.index(max(totals))
    part = counts[place] / decodes if decodes else 0.0
    return GroupLoad(counts[place], part * context_sum, dealt[place], -(-sampled // groups), totals[place])
