"""Who sends the requests: an open stream that does not care, or clients that wait for answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import simpy

from clustersim.workloads.inference.demand.desk import Desk, Send
from clustersim.workloads.inference.demand.lengths import LengthStream
from clustersim.workloads.inference.demand.request_set import RequestSet

__all__ = ["ClosedLoad", "Load", "OpenLoad", "Process", "ServiceLoad", "TenantLoad"]

Process = Generator[simpy.Event, Any, None]
_BLOCK = 4096


class Load(Protocol):
    """A process that sends requests and ends when it will send no more."""

    def run(self, env: simpy.Environment, desk: Desk) -> Process:
        """Send requests from now on, until the desk is closed."""


class OpenLoad:
    """Requests at given times, however long the answers take."""

    def __init__(self, requests: RequestSet) -> None:
        self._requests = requests

    def run(self, env: simpy.Environment, desk: Desk) -> Process:
        """Send each request at its time, counted from now."""
        start_s, hash_tokens = env.now, self._requests.hash_tokens
        for arrival_s, prompt, output, session, hashes in self._rows():
            due_s = start_s + arrival_s
            if due_s > env.now:
                yield env.timeout(due_s - env.now)
            if desk.closed:
                return
            desk.hand_in(env.now, prompt, output, session=session, hashes=hashes, hash_tokens=hash_tokens)

    def _rows(self) -> Iterator[tuple[float, int, int, int, tuple[int, ...] | None]]:
        """Rows as Python numbers, of some thousand requests at a time to save memory."""
        requests = self._requests
        for start in range(0, len(requests), _BLOCK):
            block = slice(start, start + _BLOCK)
            arrival_s = requests.arrival_s[block].tolist()
            none = [-1] * len(arrival_s)
            session = none if requests.session is None else requests.session[block].tolist()
            hashes = [None] * len(arrival_s) if requests.hashes is None else requests.hashes[block]
            lengths = requests.prompt[block].tolist(), requests.output[block].tolist()
            yield from zip(arrival_s, *lengths, session, hashes, strict=True)


class ClosedLoad:
    """Clients that each send, wait for the answer, think, and send again.

    Parameters
    ----------
    clients
        How many; each has at most one request outstanding.
    think_s
        Mean of the exponential pause between an answer and the next request; with a pause,
        clients also begin with one.
    lengths
        Lengths in the order of sending.
    streams
        Random stream of each client's pauses.
    duration_s
        Send none after this time.
    """

    def __init__(
        self,
        *,
        clients: int,
        think_s: float,
        lengths: LengthStream,
        streams: Callable[[int], np.random.Generator],
        duration_s: float | None,
    ) -> None:
        self._clients = clients
        self._think_s = think_s
        self._lengths = lengths
        self._streams = streams
        self._duration_s = duration_s if duration_s is not None else np.inf

    def run(self, env: simpy.Environment, desk: Desk) -> Process:
        """Start all clients; end when the last one stops."""
        end_s = env.now + self._duration_s
        clients = [
            env.process(self._client(env, desk, self._streams(index), end_s))
            for index in range(self._clients)
        ]
        yield env.all_of(clients)

    def _client(self, env: simpy.Environment, desk: Desk, rng: np.random.Generator, end_s: float) -> Process:
        while True:
            if self._think_s:
                yield env.timeout(rng.exponential(self._think_s))
            if desk.closed or env.now > end_s:
                return
            answered = env.event()
            prompts, outputs = self._lengths.take()
            desk.hand_in(
                env.now,
                int(prompts[0]),
                int(outputs[0]),
                answered=answered,
            )
            yield answered


@dataclass(frozen=True)
class TenantLoad:
    """The load of one tenant, and how urgent its requests are."""

    load: Load
    priority: int = 0


class ServiceLoad:
    """Everything that is sent to a service: the loads of its tenants at once.

    Parameters
    ----------
    tenants
        In the order in which requests count them.
    requests
        Send no more than so many, all tenants together.
    """

    def __init__(self, tenants: Sequence[TenantLoad], *, requests: int | None) -> None:
        self._tenants = tenants
        self._requests = requests

    def run(self, env: simpy.Environment, send: Send) -> Process:
        """Send requests from now on; end when no more will be sent."""
        desk = Desk.open(send, most=self._requests)
        loads = [
            env.process(tenant.load.run(env, desk.of(number, priority=tenant.priority)))
            for number, tenant in enumerate(self._tenants)
        ]
        yield env.all_of(loads)
