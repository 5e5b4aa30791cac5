"""Who sends the requests: an open stream that does not care, or clients that wait for answers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np
import simpy

from clustersim.workloads.inference.demand.lengths import LengthStream
from clustersim.workloads.inference.demand.trace_files import RequestSet
from clustersim.workloads.inference.requests import Request

__all__ = ["ClosedLoad", "Load", "OpenLoad", "Send"]

Send = Callable[[Request], None]
Process = Generator[simpy.Event, Any, None]


class Load(Protocol):
    """A process that sends requests and ends when it will send no more."""

    def run(self, env: simpy.Environment, send: Send) -> Process:
        """Send requests from now on."""


class OpenLoad:
    """Requests at given times, however long the answers take."""

    def __init__(self, requests: RequestSet) -> None:
        self._requests = requests

    def run(self, env: simpy.Environment, send: Send) -> Process:
        """Send each request at its time, counted from now."""
        start_s = env.now
        columns = zip(*(column.tolist() for column in self._requests), strict=True)
        for index, (arrival_s, prompt, output) in enumerate(columns):
            due_s = start_s + arrival_s
            if due_s > env.now:
                yield env.timeout(due_s - env.now)
            send(Request(index, env.now, prompt, output))


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
    requests, duration_s
        Send no more than so many, and none after this time.
    """

    def __init__(
        self,
        *,
        clients: int,
        think_s: float,
        lengths: LengthStream,
        streams: Callable[[int], np.random.Generator],
        requests: int | None,
        duration_s: float | None,
    ) -> None:
        self._clients = clients
        self._think_s = think_s
        self._lengths = lengths
        self._streams = streams
        self._requests = requests if requests is not None else 2**62
        self._duration_s = duration_s if duration_s is not None else np.inf
        self._sent = 0

    def run(self, env: simpy.Environment, send: Send) -> Process:
        """Start all clients; end when the last one stops."""
        end_s = env.now + self._duration_s
        clients = [
            env.process(self._client(env, send, self._streams(index), end_s))
            for index in range(self._clients)
        ]
        yield env.all_of(clients)

    def _client(self, env: simpy.Environment, send: Send, rng: np.random.Generator, end_s: float) -> Process:
        while True:
            if self._think_s:
                yield env.timeout(rng.exponential(self._think_s))
            if self._sent >= self._requests or env.now > end_s:
                return
            answered = env.event()
            prompts, outputs = self._lengths.take()
            request = Request(self._sent, env.now, int(prompts[0]), int(outputs[0]))
            request.on_finish = lambda _, answered=answered: answered.succeed()
            self._sent += 1
            send(request)
            yield answered
