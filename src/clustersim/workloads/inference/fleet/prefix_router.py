"""Requests go where the beginning of their prompt is cached, unless too much waits there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from clustersim.workloads.inference.fleet.load_board import LoadBoard
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.serving.router import Router

__all__ = ["PrefixAware"]


_MOST_REQUESTS_MORE = 64
_MOST_TIMES_MORE = 1.5


class PrefixAware(Router[Request, LoadBoard]):
    """The replica with the least score, unless requests are spread too unevenly by that.

    *Equation.* score = Σ (prompt − cached) over the request and the unanswered ones of the replica, in
    tokens: what it has to compute until the first token, if it gets the request. Where the
    replica with the most unanswered requests has over 64 more than the one with the fewest, and over
    1.5 times as many, the latter gets the request.

    What is cached where the router remembers from what it has sent, block by block, up to as many
    blocks as the replicas can hold together; the least recently used are forgotten first. So it may
    be wrong about a replica that dropped blocks earlier, which costs time and no answer.

    Parameters
    ----------
    replicas
        Places of the pool.
    kv_tokens
        Tokens that the KV caches of all replicas hold.

    **Source:** the least estimated time to first token: Qin et al., Mooncake, FAST 2025, section 6
    (algorithm 1). The guard against uneven load, its thresholds and a record of what was sent in place
    of the engines' own: cache_aware of SGLang's router (balance-abs-threshold, balance-rel-threshold).
    **Checked by:** tests/workloads/test_inference_routing.py.
    """

    def __init__(self, *, replicas: int, kv_tokens: int) -> None:
        self._kv_tokens = kv_tokens
        self._holders: OrderedDict[int, int] = OrderedDict()
        """Block to a bit for each replica that has it, least recently used first."""
        self._to_compute = [0] * replicas
        """Tokens of unanswered requests that were not cached where they were sent."""
        self._costs: dict[int, int] = {}
        """Of these, by request."""

    def choose(self, request: Request, board: LoadBoard) -> int:
        """Compare the replicas that have a part of the prompt with the one that has least to compute."""
        load, prompt = self._to_compute, request.prompt
        best = min(board.ready, key=load.__getitem__)
        cost = prompt
        for depth, holders in self._found(request):
            rest = max(1, prompt - depth * request.hash_tokens)
            for replica in _numbers(holders):
                if board.is_ready[replica] and load[replica] + rest < load[best] + cost:
                    best, cost = replica, rest
        idlest = _idlest_if_uneven(board)
        if idlest is not None and idlest != best:
            best, cost = idlest, prompt
        self._costs[request.index] = cost
        load[best] += cost
        self._remember(request, best)
        return best

    def left(self, replica: int, request: Request) -> None:
        """Count a request's tokens no more."""
        self._to_compute[replica] -= self._costs.pop(request.index)

    def forget(self, replica: int) -> None:
        """Forget that a replica has any blocks."""
        others = ~(1 << replica)
        for block in self._holders:
            self._holders[block] &= others

    def _found(self, request: Request) -> list[tuple[int, int]]:
        """Return (blocks, replicas that have exactly so many of the first blocks), most blocks first."""
        if request.hashes is None:
            return []
        found: list[tuple[int, int]] = []
        blocks = request.hashes[: request.prompt // request.hash_tokens]
        holders = self._holders.get(blocks[0], 0) if blocks else 0
        for depth, block in enumerate(blocks[1:], start=1):
            if not holders:
                break
            still = holders & self._holders.get(block, 0)
            if still != holders:
                found.append((depth, holders & ~still))
            holders = still
        if holders:
            found.append((len(blocks), holders))
        return found[::-1]

    def _remember(self, request: Request, replica: int) -> None:
        if request.hashes is None:
            return
        holders, bit = self._holders, 1 << replica
        for block in request.hashes:
            holders[block] = holders.get(block, 0) | bit
            holders.move_to_end(block)
        most = self._kv_tokens // request.hash_tokens
        while len(holders) > most:
            holders.popitem(last=False)


def _numbers(bits: int) -> Iterator[int]:
    """Yield the places of the bits that are set."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _idlest_if_uneven(board: LoadBoard) -> int | None:
    requests = board.requests
    counts = [requests[replica] for replica in board.ready]
    most, fewest = max(counts), min(counts)
    if most - fewest <= _MOST_REQUESTS_MORE or most <= _MOST_TIMES_MORE * fewest:
        return None
    return board.ready[counts.index(fewest)]
