"""Fair shares between the tenants of a replica: a counter of service for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.order import RequestQueue

__all__ = ["FairShare"]

_PROMPT_WEIGHT = 1.0
_OUTPUT_WEIGHT = 2.0
"""Weights of the paper's evaluation, after the prices of public services."""


class FairShare(RequestQueue):
    """The tenant that was served least is next, in its own order of arrival: virtual token counter.

    *Equation.* A tenant's counter grows by (1 · prompt tokens admitted + 2 · tokens generated) / weight.
    A tenant that had nothing to do and comes back is lifted to the least counter of those that wait, or
    where none waits to that of the last tenant that left the queue: no credit is saved.

    Parameters
    ----------
    weights
        Share of each tenant by its number; 1 where none is given.

    **Valid when** tenants differ in demand: for each alone it is first come, first served. Prompt tokens
    that a prefix cache held are charged too.

    **Source:** Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024, algorithm 2.

    **Checked by:** tests/workloads/test_inference_orders.py (equal shares of backlogged tenants).
    """

    def __init__(self, weights: Mapping[int, float] | None = None) -> None:
        self._weights = dict(weights or {})
        self._waiting: dict[int, deque[Request]] = {}
        self._counters: dict[int, float] = {}
        self._last = 0
        """Tenant of the last request that left the queue."""

    def push(self, request: Request) -> None:
        """Append a request to its tenant's, and lift a tenant that comes back."""
        tenant = request.tenant
        if tenant not in self._waiting:
            floor = min((self._counters[other] for other in self._waiting), default=None)
            if floor is None:
                floor = self._counters.get(self._last, 0.0)
            self._counters[tenant] = max(self._counters.get(tenant, 0.0), floor)
            self._waiting[tenant] = deque()
        self._waiting[tenant].append(request)

    def put_back(self, request: Request) -> None:
        """Put a request before its tenant's others."""
        if request.tenant not in self._waiting:
            self._waiting[request.tenant] = deque()
        self._waiting[request.tenant].appendleft(request)

    def head(self) -> Request:
        """Return the first request of the tenant that was served least."""
        return self._waiting[self._next()][0]

    def pop(self) -> Request:
        """Take it out, and charge its prompt."""
        tenant = self._next()
        request = self._waiting[tenant].popleft()
        if not self._waiting[tenant]:
            del self._waiting[tenant]
        self._last = tenant
        self._charge(tenant, _PROMPT_WEIGHT * request.pending)
        return request

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Request]:
        return (request for waiting in self._waiting.values() for request in waiting)

    @property
    def steady(self) -> bool:
        """Whether at most one tenant waits: else the next one depends on who is served meanwhile."""
        return len(self._waiting) < 2

    def generated(self, requests: Iterable[Request], steps: int = 1) -> None:
        """Charge the tokens to the tenants."""
        for request in requests:
            self._charge(request.tenant, _OUTPUT_WEIGHT * steps)

    def _charge(self, tenant: int, tokens: float) -> None:
        self._counters[tenant] = self._counters.get(tenant, 0.0) + tokens / self._weights.get(tenant, 1.0)

    def _next(self) -> int:
        return min(self._waiting, key=lambda tenant: (self._counters[tenant], tenant))
