"""Bytes from several vertices to several others at once, as one fluid flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import simpy

from clustersim.engine.fabric import Flow, RouteSet, TrafficClass
from clustersim.engine.trace import COMPUTE, NETWORK_LATENCY, link_resource
from clustersim.engine.world import World

__all__ = ["BulkFlow", "BulkRoute", "Sent"]


class Sent(NamedTuple):
    """A bulk that has arrived.

    `shares` maps resources to seconds and adds up to `end_s - start_s`.
    """

    start_s: float
    end_s: float
    shares: Mapping[str, float]


@dataclass(frozen=True)
class BulkRoute:
    """The connections of a bulk, which carry fixed parts of it.

    *Equation.* With part f_p of the bytes on the path of pair p, which has n_p connections and puts
    w_pl of its bytes on link l, the fluid's variable is the largest part of a connection,
    u = max f_p/n_p, and the flow consumes Σ_p f_p·w_pl/u of link l: Σ_p f_p·w_pl·S bytes in all.

    Parameters
    ----------
    route_set
        All links, with what the flow consumes of each.
    unit
        u, bytes of the fluid's variable per byte of the bulk.
    latency_s, overhead_s
        Of the longest path, and of the software over its links.

    **Valid when** the parts are about equal, as shards of tensor parallelism are: all go at the pace of
    the slowest, and none ends before the others.
    """

    route_set: RouteSet
    unit: float
    latency_s: float
    overhead_s: float

    @classmethod
    def of(
        cls,
        world: World,
        parts: Mapping[tuple[str, str], float],
        *,
        owner: str,
        purpose: str,
        traffic: TrafficClass,
    ) -> BulkRoute:
        """Lay the connections.

        Parameters
        ----------
        parts
            From (source, target) to its part of the bytes; parts add up to 1. A pair of one vertex with
            itself moves nothing over any link.
        owner, purpose, traffic
            Whose bytes they are, what for, and how they compete.
        """
        topology = world.topology
        paths = [(topology.path(*ends), part) for ends, part in parts.items()]
        on_wires = [(path, part) for path, part in paths if path.links]
        unit = max((part / path.connections for path, part in on_wires), default=0.0)
        weights: dict[int, float] = {}
        for path, part in on_wires:
            for link, weight in zip(path.links, path.weights, strict=True):
                weights[link] = weights.get(link, 0.0) + part * weight / unit
        route_set = world.fabric.route_set(
            list(weights), list(weights.values()), owner=owner, traffic=traffic
        )
        route_set.use_for(purpose)
        return cls(
            route_set,
            unit,
            max((path.latency_s for path, _ in on_wires), default=0.0),
            max((topology.message_overhead_s(path.links) for path, _ in on_wires), default=0.0),
        )


class BulkFlow:
    """Moves bytes over a bulk route and tells somebody when they are there.

    *Equation.* T = wait + message overhead + latency + u·S/x, x the max-min fair rate.

    Parameters
    ----------
    arrived
        Called at the end.
    wait_s
        Until the first byte is there to be sent.
    bound_s
        The bytes take at least so long to come out of their source.
    bound_by
        The resource that counts for the seconds in which these two held them back.

    **Checked by:** tests/workloads/test_inference_disaggregation.py.
    """

    def __init__(
        self,
        world: World,
        route: BulkRoute,
        size_bytes: float,
        *,
        arrived: Callable[[Sent], None],
        wait_s: float = 0.0,
        bound_s: float = 0.0,
        bound_by: str = COMPUTE,
    ) -> None:
        self._world = world
        self._route = route
        self._size = size_bytes * route.unit
        self._bound = self._size / bound_s if bound_s and self._size else inf
        self._bound_by = bound_by
        self._arrived = arrived
        self._start_s = world.env.now
        self._wait_s = wait_s
        delay_s = wait_s + route.latency_s + route.overhead_s
        if delay_s:
            _then(world.env.timeout(delay_s), self._begin)
        else:
            self._begin(None)

    def _begin(self, _: simpy.Event | None) -> None:
        self._flow: Flow = self._world.fabric.start(
            self._route.route_set, self._size, bound_bytes_per_s=self._bound
        )
        _then(self._flow, self._end)

    def _end(self, _: simpy.Event) -> None:
        world, route, flow = self._world, self._route, self._flow
        shares = {
            NETWORK_LATENCY: route.latency_s + route.overhead_s,
            self._bound_by: self._wait_s + flow.bound_s,
        }
        for link, seconds in flow.held_by().items():
            shares[link_resource(world.topology.link_names[link])] = seconds
            world.link_waits.add(
                route.route_set.owner, route.route_set.purpose, link, until_s=world.env.now, full_s=seconds
            )
        shares = {name: seconds for name, seconds in shares.items() if seconds > 0.0}
        self._arrived(Sent(self._start_s, world.env.now, shares))


def _then(event: simpy.Event, call: Callable[[simpy.Event], None]) -> None:
    callbacks = event.callbacks
    assert callbacks is not None  # it has just been made
    callbacks.append(call)


def even_parts(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Return parts for pairs that carry equally many bytes."""
    pairs = list(pairs)
    return {pair: 1.0 / len(pairs) for pair in pairs}
