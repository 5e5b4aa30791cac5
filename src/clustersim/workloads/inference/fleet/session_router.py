"""All requests of a session go to one replica, by consistent hashing."""

from __future__ import annotations

from bisect import bisect
from hashlib import blake2b

from clustersim.workloads.inference.fleet.load_board import LoadBoard
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.serving.router import Router

__all__ = ["SessionAffinity"]

_POINTS = 128
"""Points of each replica on the ring (assumed): shares of replicas differ by about 1/√128, 9 %."""


class SessionAffinity(Router[Request, LoadBoard]):
    """A session is a point on a ring and belongs to the next ready replica.

    When a replica goes, its sessions alone move, to the replicas that come next on the ring; when it is
    back, so are they. A request without a session is one of its own.

    Parameters
    ----------
    replicas
        Places of the pool, ready or not.

    **Source:** Karger et al., Consistent Hashing and Random Trees, STOC 1997; the session router of
    vLLM's production stack does the same.
    **Checked by:** tests/workloads/test_inference_routing.py.
    """

    def __init__(self, *, replicas: int) -> None:
        ring = sorted(
            (_place(f"replica {replica} {point}"), replica)
            for replica in range(replicas)
            for point in range(_POINTS)
        )
        self._places = [place for place, _ in ring]
        self._owners = [replica for _, replica in ring]

    def choose(self, request: Request, board: LoadBoard) -> int:
        """Return the first ready replica from the session's point on."""
        key = f"session {request.session}" if request.session >= 0 else f"request {request.index}"
        here = bisect(self._places, _place(key))
        owners, ready = self._owners, board.is_ready
        while not ready[owners[here % len(owners)]]:
            here += 1
        return owners[here % len(owners)]


def _place(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
