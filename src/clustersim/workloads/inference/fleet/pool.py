"""Replicas behind one router."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import simpy

from clustersim.workloads.inference.fleet.load_board import LoadBoard
from clustersim.workloads.inference.fleet.member import Member, State
from clustersim.workloads.inference.replica.engine import ReplicaEngine
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.serving.router import Router

__all__ = ["Deliver", "Pool"]

Deliver = Callable[[ReplicaEngine, Request], None]
"""Gives a request to an engine."""


class Pool:
    """Gives each request to a ready replica; while there is none, requests wait in their order.

    Parameters
    ----------
    env
        Clock.
    members
        Places for replicas, numbered one after the other.
    router
        Who gets a request.
    deliver
        How an engine gets it.
    """

    def __init__(
        self,
        env: simpy.Environment,
        members: Sequence[Member],
        router: Router[Request, LoadBoard],
        *,
        deliver: Deliver = ReplicaEngine.submit,
    ) -> None:
        self.members = members
        self.board = LoadBoard(env, len(members))
        self.waiting: deque[Request] = deque()
        """Requests for which no replica is ready."""
        self._first = members[0].number
        self._router = router
        self._deliver = deliver
        self._engines = [member.engine for member in members]
        for member in members:
            member.on_ready.append(self._ready)

    def member_of(self, request: Request) -> Member:
        """Return who has a request."""
        return self.members[request.replica - self._first]

    def load_of(self, member: Member) -> int:
        """Return how many requests a replica has not answered yet."""
        return self.board.requests[member.number - self._first]

    def count(self, *states: State) -> int:
        """Return how many replicas are in one of some states."""
        return sum(member.state in states for member in self.members)

    def send(self, request: Request) -> None:
        """Give a request to a replica, now or when one is ready."""
        board = self.board
        if not board.ready:
            self.waiting.append(request)
            return
        place = self._router.choose(request, board)
        request.replica = self._first + place
        board.sent(place, request)
        self._deliver(self._engines[place], request)

    def left(self, request: Request) -> None:
        """Take note that a replica has nothing to do with a request any more."""
        place = request.replica - self._first
        self.board.left(place, request)
        self._router.left(place, request)
        if not self.board.requests[place] and self.members[place].state is State.DRAINING:
            self._router.forget(place)
            self.members[place].stop()

    def drain(self, member: Member) -> None:
        """Let a replica finish what it has, and stop it then."""
        place = member.number - self._first
        self.board.set_ready(place, ready=False)
        member.drain()
        if not self.board.requests[place]:
            self._router.forget(place)
            member.stop()

    def fail(self, member: Member) -> list[Request]:
        """Take a replica out; return the requests that it had, which nobody has now."""
        place = member.number - self._first
        self.board.set_ready(place, ready=False)
        self._router.forget(place)
        lost = member.fail()
        for request in lost:
            self.board.left(place, request)
            self._router.left(place, request)
        return lost

    def _ready(self, member: Member) -> None:
        self.board.set_ready(member.number - self._first, ready=True)
        waiting, self.waiting = self.waiting, deque()
        for request in waiting:
            self.send(request)
