"""The parts of a prompt that requests may share, as blocks of the KV cache."""

from __future__ import annotations

from clustersim.workloads.inference.requests import Request

__all__ = ["Segment", "segments_of"]

Segment = tuple[int, int]
"""One id of `Request.hashes`, and the full blocks that it names."""


def segments_of(request: Request, block_tokens: int) -> list[Segment]:
    """Return the segments of a request, from its first token.

    *Equation.* Id i names tokens i·H to (i+1)·H of prompt and answer, H tokens per id, and the blocks whose
    last token is among these: ⌊(i+1)·H/b⌋ − ⌊i·H/b⌋. Ids that name no block, or tokens beyond the answer,
    are left out.

    Equal ids mean equal tokens from the beginning to the id's end, as a block hash that includes its
    prefix's (vLLM, Mooncake).
    """
    if request.hashes is None:
        return []
    each = request.hash_tokens
    segments: list[Segment] = []
    first = 0
    for segment, end in zip(
        request.hashes, range(each, request.prompt + request.output + 1, each), strict=False
    ):
        last = end // block_tokens
        if last > first:
            segments.append((segment, last - first))
            first = last
    return segments
