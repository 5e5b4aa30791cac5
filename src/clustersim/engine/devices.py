"""GPUs, their memory and the nodes that hold them, as simpy resources."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, cast

import simpy
from simpy.resources.resource import Request

from clustersim.engine.trace import NO_CAUSE, Trace
from clustersim.errors import CannotRunError
from clustersim.units import SIZE, format_quantity

__all__ = ["Gpu", "Memory", "Node"]


class Memory(simpy.Container):
    """Device memory in bytes: `put` frees, `get` takes and waits until there is enough."""

    def __init__(self, env: simpy.Environment, capacity_bytes: float) -> None:
        super().__init__(env, capacity=capacity_bytes, init=capacity_bytes)

    @property
    def free_bytes(self) -> float:
        """Bytes that nobody holds."""
        return float(self.level)

    def reserve(self, size_bytes: float, *, who: str) -> None:
        """Take memory now or refuse.

        Raises
        ------
        CannotRunError
            If fewer bytes are free.
        """
        if size_bytes > self.level:
            raise CannotRunError(
                f"{who} needs {format_quantity(round(size_bytes), SIZE)} of GPU memory, "
                f"{format_quantity(round(self.level), SIZE)} are free"
            )
        self._level -= size_bytes  # at once: an event would tell nobody

    def free(self, size_bytes: float) -> None:
        """Give memory back, and to whoever waits for it."""
        self._level += size_bytes
        self._trigger_get(None)


class Gpu(simpy.Resource):
    """One GPU: a compute stream that one kernel holds at a time, and its memory.

    `request`/`release` are simpy's own; `compute` is the usual way to use it.
    """

    def __init__(self, env: simpy.Environment, name: str, memory_bytes: float) -> None:
        super().__init__(env, capacity=1)
        self.env = env
        self.name = name
        self.memory = Memory(env, memory_bytes)

    def hold(self) -> simpy.Event | None:
        """Take the stream now, without an event, if it is free; give it back with `leave`."""
        if self.users or self.queue:
            return None
        turn = simpy.Event(self.env)
        self.users.append(cast(Request, turn))
        return turn

    def leave(self, turn: simpy.Event) -> None:
        """Give back the stream that was taken with `hold` or `request`, to whoever waits for it."""
        self.users.remove(cast(Request, turn))
        self._trigger_put(None)

    def compute(
        self,
        seconds: float,
        *,
        trace: Trace,
        lane: str,
        label: str,
        shares: Mapping[str, float],
        cause: int = NO_CAUSE,
    ) -> simpy.Process:
        """Hold the stream for `seconds` once it is free; the process's value is the trace row."""
        return self.env.process(self._compute(seconds, trace, lane, label, shares, cause))

    def _compute(
        self, seconds: float, trace: Trace, lane: str, label: str, shares: Mapping[str, float], cause: int
    ) -> Generator[simpy.Event, Any, int]:
        with self.request() as turn:
            yield turn
            start_s = self.env.now
            yield self.env.timeout(seconds)
        return trace.record("compute", lane, label, start_s, self.env.now, cause=cause, shares=shares)


class Node(simpy.Resource):
    """A server: its host CPU as a resource (one unit per core) and its GPUs."""

    def __init__(
        self, env: simpy.Environment, name: str, gpus: Sequence[Gpu], *, host_cores: int = 1
    ) -> None:
        super().__init__(env, capacity=host_cores)
        self.name = name
        self.gpus = tuple(gpus)
