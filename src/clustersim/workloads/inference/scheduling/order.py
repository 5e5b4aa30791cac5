"""Who is next: the requests that wait for a place on a replica, and the order in which they get it."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator

from clustersim.workloads.inference.requests import Request

__all__ = [
    "FirstComeFirstServed",
    "LongestPrefixFirst",
    "PriorityFirst",
    "RequestQueue",
    "ShortestJobFirst",
]


class RequestQueue(ABC):
    """Waiting requests of one replica."""

    ranked = False
    """Whether each request has a rank of its own, other than when it came."""

    @abstractmethod
    def push(self, request: Request) -> None:
        """Take a request that arrives."""

    @abstractmethod
    def put_back(self, request: Request) -> None:
        """Take a request that lost its blocks."""

    @abstractmethod
    def head(self) -> Request:
        """Return who is next; there must be somebody."""

    @abstractmethod
    def pop(self) -> Request:
        """Take out who is next."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Request]:
        """Return the waiting requests, in no particular order."""

    def rank(self, request: Request) -> tuple[float, ...]:
        """Key of a running request: who has the greatest loses its blocks first."""
        return (request.arrival_s, request.index)

    @property
    def steady(self) -> bool:
        """Whether who is next stays the same while running requests only decode."""
        return True


class FirstComeFirstServed(RequestQueue):
    """In the order of arrival; who lost its blocks goes before all others."""

    def __init__(self) -> None:
        self._waiting: deque[Request] = deque()

    def push(self, request: Request) -> None:
        """Append a request."""
        self._waiting.append(request)

    def put_back(self, request: Request) -> None:
        """Put a request before all others."""
        self._waiting.appendleft(request)

    def head(self) -> Request:
        """Return the first."""
        return self._waiting[0]

    def pop(self) -> Request:
        """Take out the first."""
        return self._waiting.popleft()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._waiting)


class _Ranked(RequestQueue):
    """The least rank first."""

    ranked = True

    def __init__(self) -> None:
        self._waiting: list[tuple[tuple[float, ...], Request]] = []

    def push(self, request: Request) -> None:
        """Take a request at the place of its rank."""
        heapq.heappush(self._waiting, (self.rank(request), request))

    def put_back(self, request: Request) -> None:
        """Take a request at the place of its rank."""
        self.push(request)

    def head(self) -> Request:
        """Return the request of least rank."""
        return self._waiting[0][1]

    def pop(self) -> Request:
        """Take out the request of least rank."""
        return heapq.heappop(self._waiting)[1]

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Request]:
        return (request for _, request in self._waiting)


class PriorityFirst(_Ranked):
    """By `Request.priority`, the smaller the earlier; then by arrival (vLLM's `priority` policy)."""

    def rank(self, request: Request) -> tuple[float, ...]:
        """Return priority, arrival and index."""
        return (request.priority, request.arrival_s, request.index)


class ShortestJobFirst(_Ranked):
    """The shortest answer first, as if its length had been predicted without error.

    **Source:** Fu et al., "Efficient LLM Scheduling by Learning to Rank", NeurIPS 2024 (the oracle
    that predictors are measured against).
    """

    def rank(self, request: Request) -> tuple[float, ...]:
        """Return output length, arrival and index."""
        return (request.output, request.arrival_s, request.index)


class LongestPrefixFirst(FirstComeFirstServed):
    """Who finds the most of its prompt in the cache first, then by arrival.

    Beyond 128 waiting requests first come, first served.

    Parameters
    ----------
    cached_tokens
        What a request would find.

    **Source:** Zheng et al., "SGLang", NeurIPS 2024, §3; SGLang 0.4 `schedule_policy.py`
    (`lpm`, with its threshold of 128).
    """

    _MOST_COMPARED = 128

    def __init__(self, cached_tokens: Callable[[Request], int]) -> None:
        super().__init__()
        self._cached_tokens = cached_tokens

    def head(self) -> Request:
        """Return the request with the longest prefix in the cache, the first of equals."""
        waiting = self._waiting
        if len(waiting) > self._MOST_COMPARED:
            return waiting[0]
        return max(waiting, key=self._cached_tokens)

    def pop(self) -> Request:
        """Take it out."""
        request = self.head()
        self._waiting.remove(request)
        return request

    @property
    def steady(self) -> bool:
        """False with two or more: what one finds changes when another's blocks are evicted."""
        return len(self._waiting) < 2
