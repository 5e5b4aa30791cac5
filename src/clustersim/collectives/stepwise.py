"""A plan message by message: slow, readable, the reference for the macro-flow.

Each message is a flow of its own. It starts when the message before it on the same connection
has left and the data that it passes on has arrived; links are shared with everything else.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import simpy

from clustersim.collectives.macro import Schedule, protocol_of
from clustersim.collectives.plan import Connection, Lockstep, Phase, Pipelined
from clustersim.engine.trace import link_resource

if TYPE_CHECKING:
    from clustersim.engine.fabric import Flow
    from clustersim.engine.world import World

__all__ = ["CHUNKS_PER_HOP", "Message", "StepwiseRun", "expand"]

CHUNKS_PER_HOP = 128
"""Chunks of a pipeline, per connection on its longest path: filling it takes 1/128 of the whole."""


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
    chunks = CHUNKS_PER_HOP * phase.depth if phase.depth > 1 else 1
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

    Parameters
    ----------
    schedule, protocol
        What to run; the protocol's latency is added to each message's, its efficiency bounds the
        message's rate.
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
            if self._schedule.base_latency_s > 0:
                yield self._world.env.timeout(self._schedule.base_latency_s)
            for macro in self._schedule.phases:
                last = yield from self._run_phase(expand(macro.phase), size_bytes)
                self._walk_back(last, shares)
        return shares

    def _run_phase(self, messages: list[Message], size_bytes: float) -> Generator[simpy.Event, Any, Message]:
        finished = self._world.env.event()
        left = len(messages)

        def arrived(message: Message) -> None:
            nonlocal left
            left -= 1
            release(message.after_arriving, message)
            if left == 0:
                finished.succeed(message)

        def left_sender(message: Message) -> None:
            release(message.after_leaving, message)
            latency_s = self._latency_s(message.connection)
            if latency_s > 0:
                self._world.env.timeout(latency_s).callbacks.append(lambda _: arrived(message))
            else:
                arrived(message)

        def release(followers: list[Message], enabler: Message) -> None:
            for follower in followers:
                follower.waits -= 1
                if follower.waits == 0:
                    follower.enabled_by = enabler
                    start(follower)

        def start(message: Message) -> None:
            message.flow = self._start(message, size_bytes)
            message.flow.callbacks.append(lambda _: left_sender(message))

        for message in [message for message in messages if message.waits == 0]:
            start(message)
        value: Message = yield finished
        return value

    def _start(self, message: Message, size_bytes: float) -> Flow:
        connection, fabric = message.connection, self._world.fabric
        route_set = fabric.route_set(connection.links, owner=self._owner)
        bound = self._bound_bytes_per_s(connection)
        return fabric.start(route_set, size_bytes * message.fraction, bound_bytes_per_s=bound)

    def _latency_s(self, connection: Connection) -> float:
        protocol = protocol_of(connection, self._schedule.plan.family, self._protocol)
        return connection.latency_s + (protocol.step_latency_s if protocol else 0.0)

    def _bound_bytes_per_s(self, connection: Connection) -> float:
        protocol = protocol_of(connection, self._schedule.plan.family, self._protocol)
        if protocol is None or protocol.bandwidth_efficiency >= 1.0:
            return float("inf")
        rates = self._world.topology.link_bandwidth_bytes_per_s
        return protocol.bandwidth_efficiency * min(float(rates[link]) for link in connection.links)

    def _walk_back(self, last: Message, shares: dict[str, float]) -> None:
        """Add up what held back each message on the path that ends with the last one."""
        topology = self._world.topology
        message: Message | None = last
        while message is not None and message.flow is not None:
            held = dict(message.flow.held_by())
            rates = topology.link_bandwidth_bytes_per_s
            slowest = min(message.connection.links, key=lambda link: float(rates[link]))
            held[slowest] = held.get(slowest, 0.0) + message.flow.bound_s
            for link, seconds in held.items():
                resource = link_resource(topology.link_names[link])
                shares[resource] = shares.get(resource, 0.0) + seconds
            message = message.enabled_by
