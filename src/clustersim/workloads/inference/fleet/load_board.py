"""What a router knows about the replicas that it chooses from."""

from __future__ import annotations

import simpy

from clustersim.workloads.inference.requests import Request

__all__ = ["LoadBoard"]


class LoadBoard:
    """Who is ready, and what each replica has not answered yet.

    A router in front of engines counts what goes past it: requests sent and answered, and their
    prompts' tokens. How long answers will be nobody knows before.

    Parameters
    ----------
    env
        Clock, for how long replicas had requests.
    replicas
        Places of the pool; none is ready at first.
    """

    __slots__ = ("_busy_from_s", "_busy_s", "_env", "is_ready", "ready", "requests", "work")

    def __init__(self, env: simpy.Environment, replicas: int) -> None:
        self._env = env
        self._busy_s = [0.0] * replicas
        self._busy_from_s = [0.0] * replicas
        self.ready: list[int] = []
        """Replicas that take requests, in ascending order."""
        self.is_ready = [False] * replicas
        self.requests = [0] * replicas
        """Requests of each replica without their last token."""
        self.work = [0] * replicas
        """Prompt tokens of these."""

    def set_ready(self, replica: int, *, ready: bool) -> None:
        """Note that a replica takes requests from now on, or no more."""
        self.is_ready[replica] = ready
        self.ready = [place for place, is_ready in enumerate(self.is_ready) if is_ready]

    def sent(self, replica: int, request: Request) -> None:
        """Count a request that a replica has got."""
        if not self.requests[replica]:
            self._busy_from_s[replica] = self._env.now
        self.requests[replica] += 1
        self.work[replica] += request.prompt

    def left(self, replica: int, request: Request) -> None:
        """Count a request that a replica has answered, or lost."""
        self.requests[replica] -= 1
        self.work[replica] -= request.prompt
        if not self.requests[replica]:
            self._busy_s[replica] += self._env.now - self._busy_from_s[replica]

    def busy_seconds(self, replica: int) -> float:
        """Return how long a replica has had requests, until now."""
        since_s = self._env.now - self._busy_from_s[replica] if self.requests[replica] else 0.0
        return self._busy_s[replica] + since_s
