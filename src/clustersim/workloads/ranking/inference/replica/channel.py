"""Copies between a GPU and its host: one after the other over the links."""

from __future__ import annotations

from typing import NamedTuple

import simpy

from clustersim.engine.trace import HOST, NETWORK_LATENCY, link_resource
from clustersim.engine.world import World
from clustersim.workloads.bulk_flow import BulkFlow, BulkRoute
from clustersim.workloads.ranking.inference.replica.queued import Over, Queued

__all__ = ["Channel", "Message"]


class Message(NamedTuple):
    """What goes through a channel.

    Parameters
    ----------
    size_bytes
        Of it.
    host_s
        Time of the host before the first byte.
    least_s
        The host lets the bytes through in no less than this.
    """

    size_bytes: float
    host_s: float = 0.0
    least_s: float = 0.0


class Channel(Queued[Message]):
    """A copy engine.

    *Equation.* T = host + latency + max(S/B, least), with B what the links give. While nobody else uses
    them, B is their capacity and T a closed form; else the message is a flow among the others'.

    Parameters
    ----------
    world
        Clock and links.
    route
        Which links, and what a byte takes of each.

    **Checked by:** tests/workloads/ranking/test_ranking_inference_channel.py.
    """

    def __init__(self, world: World, route: BulkRoute) -> None:
        super().__init__(world.env)
        self._world = world
        self._route = route
        fabric, links = world.fabric, route.route_set
        rates = {
            link: fabric.capacity_bytes_per_s(link) / (weight * route.unit)
            for link, weight in zip(links.links, links.weights, strict=True)
        }
        self._narrowest = min(rates, key=rates.__getitem__) if rates else -1
        self._s_per_byte = 1.0 / rates[self._narrowest] if rates and rates[self._narrowest] else 0.0
        self._latency_s = route.latency_s + route.overhead_s

    @property
    def private(self) -> bool:
        """Whether nobody else uses its links."""
        return self._world.fabric.private(self._route.route_set)

    def alone(self, message: Message) -> tuple[float, dict[str, float]]:
        """Return the seconds of a message that has the links to itself, and what they are spent on."""
        wire_s = message.size_bytes * self._s_per_byte
        shares = {HOST: message.host_s, NETWORK_LATENCY: self._latency_s}
        if wire_s >= message.least_s and self._narrowest >= 0:
            name = self._world.topology.link_names[self._narrowest]
            shares[link_resource(name)] = wire_s
        else:
            shares[HOST] += message.least_s
        return sum(shares.values()), {key: value for key, value in shares.items() if value > 0.0}

    def account(self, message: Message, start_s: float, end_s: float) -> None:
        """Book the bytes of a message that was computed in closed form on the links."""
        if self._narrowest >= 0 and message.size_bytes:
            size = message.size_bytes * self._route.unit
            self._world.fabric.account(self._route.route_set, size, start_s, end_s)

    def _begin(self, message: Message, over: Over) -> None:
        if self.private:
            self._in_closed_form(message, over)
            return
        BulkFlow(
            self._world,
            self._route,
            message.size_bytes,
            wait_s=message.host_s,
            bound_s=message.least_s,
            bound_by=HOST,
            arrived=lambda sent: over(sent.shares),
        )

    def _in_closed_form(self, message: Message, over: Over) -> None:
        env = self._env
        seconds, shares = self.alone(message)
        start_s = env.now

        def done(_: simpy.Event) -> None:
            self.account(message, start_s, env.now)
            over(shares)

        timer = env.timeout(seconds)
        assert timer.callbacks is not None  # it has just been made
        timer.callbacks.append(done)
