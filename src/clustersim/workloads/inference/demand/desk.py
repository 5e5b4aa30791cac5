"""Where loads hand in their requests: numbers them, says whose they are, and closes after the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import simpy

from clustersim.workloads.inference.requests import Request

__all__ = ["Desk", "Send"]

Send = Callable[[Request], None]


class _Count:
    """Requests sent by all desks of a service, and the most that are."""

    __slots__ = ("most", "sent")

    def __init__(self, most: int) -> None:
        self.most = most
        self.sent = 0


@dataclass(slots=True)
class Desk:
    """Takes requests of one tenant; all desks of a service count together.

    Parameters
    ----------
    send
        What the service does with a request.
    count
        How many were sent; see `Desk.open`.
    tenant, priority
        Put on each request.
    """

    send: Send
    count: _Count
    tenant: int = 0
    priority: int = 0

    @classmethod
    def open(cls, send: Send, *, most: int | None) -> Desk:
        """Open a desk that sends no more than `most` requests."""
        return cls(send, _Count(most if most is not None else 2**62))

    def of(self, tenant: int, *, priority: int) -> Desk:
        """Return the desk of a tenant beside this one."""
        return Desk(self.send, self.count, tenant, priority)

    @property
    def closed(self) -> bool:
        """Whether the last request was sent."""
        return self.count.sent >= self.count.most

    def hand_in(
        self,
        arrival_s: float,
        prompt: int,
        output: int,
        *,
        session: int = -1,
        hashes: tuple[int, ...] | None = None,
        hash_tokens: int = 0,
        answered: simpy.Event | None = None,
    ) -> None:
        """Send a request; only while the desk is open.

        Parameters
        ----------
        session, hashes, hash_tokens
            See `Request`.
        answered
            Happens with the last token of its answer.
        """
        request = Request(self.count.sent, arrival_s, prompt, output)
        request.tenant, request.priority, request.session = self.tenant, self.priority, session
        request.hashes, request.hash_tokens = hashes, hash_tokens
        if answered is not None:
            request.on_finish = _ringing(answered)
        self.count.sent += 1
        self.send(request)


def _ringing(answered: simpy.Event) -> Callable[[Request], None]:
    """Say that the answer is there, and let go of block ids that nobody will ask for again."""

    def ring(request: Request) -> None:
        request.hashes = None
        answered.succeed()

    return ring
