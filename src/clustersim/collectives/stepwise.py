"""A plan message by message: slow, readable, the reference for the macro-flow.

Each message is a flow of its own. It starts when the message before it on the same connection
has left and the data that it passes on has arrived; links are shared with everything else.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import simpy

from clustersim.collectives.macro import Schedule, pace
from clustersim.collectives.plan import Connection, Lockstep, Phase, Pipelined
from clustersim.engine.trace import link_resource

if TYPE_CHECKING:
    from clustersim.engine.fabric import Flow
    from clustersim.engine.world import World

__all__ = ["CHUNKS", "Message", "StepwiseRun", "expand"]

CHUNKS = 64
"""Chunks of a pipeline with more than one hop: filling it adds (hops - 1)/64 of the bytes' time."""


@dataclass(eq=False, slots=True)
class Message:
    """One message on one connection."""

    connection: Connection
    fraction: float
    """Bytes, as a fraction of the collective's size."""
    after_leaving: list[Message] = field(default_factory=list)
    """Messages that may start once this one has left."""
    after_arriving: list[Message] = field(default_factory=list)
    """Messages that may start once this one has arrived."""
    waits: int = 0
    enabled_by: Message | None = None
    flow: Flow | None = None


def expand(phase: Phase) -> list[Message]:
    """Return the messages of a phase with their dependencies."""
    return _expand_lockstep(phase) if isinstance(phase, Lockstep) else _expand_pipelined(phase)


def _expand_lockstep(phase: Lockstep) -> list[Message]:
    messages = []
    for ring in phase.rings:
        before: list[Message] = []
        for _ in range(phase.steps):
            step = [Message(connection, phase.step_fraction * connection.share) for connection in ring]
            for index, earlier in enumerate(before):
                _follow(earlier.after_leaving, step[index])
                _follow(earlier.after_arriving, step[(index + 1) % len(ring)])
            messages += step
            before = step
    return messages


def _expand_pipelined(phase: Pipelined) -> list[Message]:
    chunks = CHUNKS if phase.depth > 1 else 1
    messages: list[Message] = []
    before: list[Message] = []
    for _ in range(chunks):
        chunk = [
            Message(connection, phase.fraction * connection.share / chunks)
            for connection in phase.connections
        ]
        for earlier, later in zip(before, chunk, strict=False):
            _follow(earlier.after_leaving, later)
        for message, feeds in zip(chunk, phase.feeds, strict=True):
            for index in feeds:
                _follow(chunk[index].after_arriving, message)
        messages += chunk
        before = chunk
    return messages


def _follow(followers: list[Message], message: Message) -> None:
    followers.append(message)
    message.waits += 1


class StepwiseRun:
    """Runs a schedule message by message.

    A message's rate is bounded by what its connection gets when all of the phase is under way
    (X_i times its share), as a library's channels are; its latency is the route's and the protocol's.
    """

    def __init__(self, world: World, schedule: Schedule, protocol: str, *, owner: str) -> None:
        self._world = world
        self._schedule = schedule
        self._protocol = protocol
        self._owner = owner

    def run(self, size_bytes: float, repeat: int) -> Generator[simpy.Event, Any, dict[str, float]]:
        """Run `repeat` collectives; the value maps resources of links to seconds on the critical path."""
        shares: dict[str, float] = {}
        for _ in range(repeat):
            yield self._world.env.timeout(self._schedule.start_s[self._protocol])
            for macro in self._schedule.phases:
                family = self._schedule.plan.family
                paces = {
                    connection: pace(connection, family, self._protocol, macro.inverse)
                    for connection in macro.phase.connections
                }
                last = yield _PhaseRun(self._world, macro.phase, size_bytes, paces, self._owner).finished
                self._walk_back(last, shares)
        return shares

    def _walk_back(self, last: Message, shares: dict[str, float]) -> None:
        """Add up what held back each message on the path that ends with the last one."""
        topology = self._world.topology
        rates = topology.link_bandwidth_bytes_per_s
        message: Message | None = last
        while message is not None and message.flow is not None:
            held = message.flow.held_by()
            slowest = min(message.connection.links, key=lambda link: float(rates[link]))
            held[slowest] = held.get(slowest, 0.0) + message.flow.bound_s
            for link, seconds in held.items():
                resource = link_resource(topology.link_names[link])
                shares[resource] = shares.get(resource, 0.0) + seconds
            message = message.enabled_by


class _PhaseRun:
    """The messages of one phase under way; `finished` fires with the last to arrive."""

    def __init__(
        self,
        world: World,
        phase: Phase,
        size_bytes: float,
        paces: dict[Connection, tuple[float, float]],
        owner: str,
    ) -> None:
        self._world = world
        self._size_bytes = size_bytes
        self._paces = paces
        self._owner = owner
        self.finished = world.env.event()
        messages = expand(phase)
        self._left = len(messages)
        for message in [message for message in messages if message.waits == 0]:
            self._start(message)

    def _start(self, message: Message) -> None:
        connection, fabric = message.connection, self._world.fabric
        per_byte, _ = self._paces[connection]
        message.flow = fabric.start(
            fabric.route_set(connection.links, owner=self._owner),
            self._size_bytes * message.fraction,
            bound_bytes_per_s=connection.share / per_byte,
        )
        message.flow.callbacks.append(lambda _: self._leave(message))

    def _leave(self, message: Message) -> None:
        self._release(message.after_leaving, message)
        _, latency_s = self._paces[message.connection]
        if latency_s > 0:
            self._world.env.timeout(latency_s).callbacks.append(lambda _: self._arrive(message))
        else:
            self._arrive(message)

    def _arrive(self, message: Message) -> None:
        self._left -= 1
        self._release(message.after_arriving, message)
        if self._left == 0:
            self.finished.succeed(message)

    def _release(self, followers: list[Message], enabler: Message) -> None:
        for follower in followers:
            follower.waits -= 1
            if follower.waits == 0:
                follower.enabled_by = enabler
                self._start(follower)
