"""A plan message by message: slow, readable, the reference for the macro-flow.

Each message is a flow of its own. It starts when the message before it on the same connection
has left and the data that it passes on has arrived; links are shared with everything else. A rank
enters a phase when its own part of the one before is done, whatever the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import simpy

from clustersim.collectives.macro import MacroPhase, Schedule, connection_paces
from clustersim.collectives.plan import Connection, Phase
from clustersim.engine.trace import link_resource

if TYPE_CHECKING:
    from clustersim.engine.fabric import Flow, RouteSet
    from clustersim.engine.world import World

__all__ = ["Message", "RouteSetOf", "StepwiseRun", "expand"]

RouteSetOf = Callable[[Sequence[int], Sequence[float]], "RouteSet"]
"""From links and weights to the owner's route set."""


@dataclass(eq=False, slots=True)
class Message:
    """One message on one connection, or the entry of a vertex into a phase (no connection).

    Parameters
    ----------
    fraction
        Bytes, as a fraction of the collective's size.
    bound_s_per_byte
        1/rate at which its connection goes when all of the phase is under way.
    latency_s
        From its last byte's leaving to its arrival.
    """

    connection: Connection | None = None
    fraction: float = 0.0
    bound_s_per_byte: float = 0.0
    latency_s: float = 0.0
    after_leaving: list[Message] = field(default_factory=list)
    """Messages that may start once this one has left."""
    after_arriving: list[Message] = field(default_factory=list)
    """Messages that may start once this one has arrived."""
    waits: int = 0
    enabled_by: Message | None = None
    flow: Flow | None = None


def expand(phase: Phase) -> list[list[Message]]:
    """Return the messages of each connection of a phase, in order, with their dependencies."""
    by_connection = [
        [Message(connection, volume / count) for _ in range(count)]
        for connection, volume, count in zip(phase.connections, phase.volumes, phase.messages, strict=True)
    ]
    for messages, feeds in zip(by_connection, phase.feeds, strict=True):
        for step, message in enumerate(messages):
            if step:
                _follow(messages[step - 1].after_leaving, message)
            if step >= phase.lag:
                for fed in feeds:
                    _follow(by_connection[fed][step - phase.lag].after_arriving, message)
    return by_connection


def _follow(followers: list[Message], message: Message) -> None:
    followers.append(message)
    message.waits += 1


def _chained(schedule: Schedule, protocol: str) -> list[Message]:
    """Return the messages of all phases; the first of each connection waits until its sender enters.

    A vertex enters a phase when it has entered the one before, has sent all its messages there and got
    all that come to it.
    """
    everything: list[Message] = []
    entries: dict[str, Message] = {}
    for number, macro in enumerate(schedule.phases):
        by_connection = expand(macro.phase)
        _set_paces(macro, schedule.plan.family, protocol, by_connection)
        if number:
            for messages, connection in zip(by_connection, macro.phase.connections, strict=True):
                if connection.source in entries:
                    _follow(entries[connection.source].after_arriving, messages[0])
        entries = _entries(entries, macro.phase, by_connection)
        everything += [message for messages in by_connection for message in messages]
        everything += entries.values()
    return everything


def _set_paces(macro: MacroPhase, family: str, protocol: str, by_connection: list[list[Message]]) -> None:
    per_byte, latency_s = (paces.tolist() for paces in connection_paces(macro.load, family, protocol))
    for index, messages in enumerate(by_connection):
        for message in messages:
            message.bound_s_per_byte = per_byte[index] / macro.phase.volumes[index]
            message.latency_s = latency_s[index]


def _entries(
    before: dict[str, Message], phase: Phase, by_connection: list[list[Message]]
) -> dict[str, Message]:
    """Each vertex's entry into the next phase."""
    vertices = dict.fromkeys(
        [*before, *(vertex for one in phase.connections for vertex in (one.source, one.target))]
    )
    entries = {vertex: Message() for vertex in vertices}
    for vertex, earlier in before.items():
        _follow(earlier.after_arriving, entries[vertex])
    for messages, connection in zip(by_connection, phase.connections, strict=True):
        _follow(messages[-1].after_leaving, entries[connection.source])
        _follow(messages[-1].after_arriving, entries[connection.target])
    return entries


class StepwiseRun:
    """Runs a schedule message by message.

    A message's rate is bounded by what its connection gets when all of the phase is under way
    (X_i times its share), as a library's channels are; its latency is the path's and the protocol's.

    Parameters
    ----------
    protocol
        Of the schedule's.
    route_set
        Makes the route sets.
    waited
        Called after each collective for each link that held back its critical path: with the link,
        the seconds by being full, and those at the message's own rate.
    """

    def __init__(
        self,
        world: World,
        schedule: Schedule,
        protocol: str,
        *,
        route_set: RouteSetOf,
        waited: Callable[[int, float, float], None],
    ) -> None:
        self._world = world
        self._schedule = schedule
        self._protocol = protocol
        self._route_set = route_set
        self._waited = waited

    def run(self, size_bytes: float, repeat: int) -> Generator[simpy.Event, Any, dict[str, float]]:
        """Run `repeat` collectives; the value maps resources of links to seconds on the critical path."""
        shares: dict[str, float] = {}
        for _ in range(repeat):
            yield self._world.env.timeout(self._schedule.start_s[self._protocol])
            messages = _chained(self._schedule, self._protocol)
            run = _Messages(self._world, messages, size_bytes, self._route_set)
            last = yield run.finished
            self._walk_back(last, shares)
        return shares

    def _walk_back(self, last: Message, shares: dict[str, float]) -> None:
        """Add up what held back each message on the path that ends with the last one."""
        topology = self._world.topology
        rates = topology.link_bandwidth_bytes_per_s
        full_s: dict[int, float] = {}
        own_s: dict[int, float] = {}
        message: Message | None = last
        while message is not None:
            if message.flow is not None and message.connection is not None:
                for link, seconds in message.flow.held_by().items():
                    full_s[link] = full_s.get(link, 0.0) + seconds
                slowest = min(message.connection.links, key=lambda link: float(rates[link]))
                own_s[slowest] = own_s.get(slowest, 0.0) + message.flow.bound_s
            message = message.enabled_by
        for link in {**full_s, **own_s}:
            full, own = full_s.get(link, 0.0), own_s.get(link, 0.0)
            resource = link_resource(topology.link_names[link])
            shares[resource] = shares.get(resource, 0.0) + full + own
            self._waited(link, full, own)


class _Messages:
    """Messages under way; `finished` fires with the last to arrive."""

    def __init__(
        self,
        world: World,
        messages: Iterable[Message],
        size_bytes: float,
        route_set: RouteSetOf,
    ) -> None:
        self._world = world
        self._size_bytes = size_bytes
        self._route_set = route_set
        self.finished = world.env.event()
        waiting = list(messages)
        self._left = sum(message.connection is not None for message in waiting)
        for message in [message for message in waiting if message.waits == 0]:
            self._start(message)

    def _start(self, message: Message) -> None:
        connection = message.connection
        if connection is None:
            self._release(message.after_arriving, message)
            return
        count = connection.multiplicity
        message.flow = self._world.fabric.start(
            self._route_set(connection.links, [count * weight for weight in connection.weights]),
            self._size_bytes * message.fraction / count,
            bound_bytes_per_s=1.0 / (count * message.bound_s_per_byte),
        )
        message.flow.callbacks.append(lambda _: self._leave(message))

    def _leave(self, message: Message) -> None:
        self._release(message.after_leaving, message)
        if message.latency_s > 0:
            self._world.env.timeout(message.latency_s).callbacks.append(lambda _: self._arrive(message))
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
