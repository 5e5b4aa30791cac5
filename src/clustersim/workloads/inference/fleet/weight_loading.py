"""Weights on their way to a replica that starts: flows over the links like any other."""

from __future__ import annotations

from collections.abc import Callable

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.trace import NO_CAUSE, STORAGE
from clustersim.engine.world import World
from clustersim.errors import InputError, Problem
from clustersim.spec.fleet import StartupSpec
from clustersim.topology import Topology
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.bulk_flow import BulkFlow, BulkRoute, Sent, even_parts
from clustersim.workloads.inference.replica.layout import Replica

__all__ = ["load_weights", "weight_sources"]


def weight_sources(topology: Topology, replica: Replica, startup: StartupSpec) -> dict[str, str]:
    """Return for each GPU of a replica the vertex that its weights come from.

    Raises
    ------
    InputError
        For a vertex that does not exist.
    CannotRunError
        Where a GPU's node has no host, or no path leads from the vertex to a GPU.
    """
    try:
        if startup.weights_from == "host":
            return dict(hosts_of(topology, replica.gpus))
        for gpu in replica.gpus:
            topology.path(startup.weights_from, gpu)
    except InputError as error:
        path = ("startup", "weights_from")
        raise type(error)([Problem(path, problem.message) for problem in error.problems]) from None
    return dict.fromkeys(replica.gpus, startup.weights_from)


def load_weights(
    world: World,
    replica: Replica,
    startup: StartupSpec,
    *,
    name: str,
    traffic: TrafficClass,
    loaded: Callable[[], None],
) -> None:
    """Bring each GPU its part of the weights, all at once, and tell when the last is there.

    *Equation.* T = overhead + latency + max(S/bandwidth, u·S/x), S the weights of all GPUs of the
    replica and x the max-min fair rate of its connections.

    Parameters
    ----------
    name
        `service.replica`: whose bytes they are, and the lane `name/weights`.
    """
    sources = weight_sources(world.topology, replica, startup)
    parts = even_parts((source, gpu) for gpu, source in sources.items())
    route = BulkRoute.of(world, parts, owner=name, purpose="weights", traffic=traffic)
    size_bytes = replica.memory.weight_bytes * len(replica.gpus)

    def arrived(sent: Sent) -> None:
        world.trace.record(
            "transfer",
            f"{name}/weights",
            "load weights",
            sent.start_s,
            sent.end_s,
            cause=NO_CAUSE,
            shares=sent.shares,
        )
        loaded()

    storage = world.topology.speeds.storage
    bound_s = size_bytes / (storage * startup.bandwidth) if startup.bandwidth else 0.0
    BulkFlow(world, route, size_bytes, arrived=arrived, bound_s=bound_s, bound_by=STORAGE)
