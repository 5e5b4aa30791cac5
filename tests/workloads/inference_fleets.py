"""Services with several replicas and pools in a world of their own, for tests."""

from __future__ import annotations

from functools import cache

from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.inference import InferenceSpec
from clustersim.topology import build
from clustersim.workloads import create, gpus_needed
from clustersim.workloads.placement import Placer


@cache
def star(nodes=2, node="a100-40gb-x4", bandwidth="100 Gbit/s"):
    """Nodes around one switch."""
    spec = {"topology": {"kind": "star", "nodes": nodes, "node": node}, "fabric": {"bandwidth": bandwidth}}
    return build(ClusterSpec.model_validate(spec), base=None, seed=0)


@cache
def uplinks():
    """Two nodes whose GPUs share one uplink of 100 Gbit/s each way."""
    kind = {"kind": "leaf-spine", "nodes": 2, "nodes_per_leaf": 1, "node": "a100-40gb-x4"}
    spec = {"topology": kind | {"oversubscription": 4}, "fabric": {"bandwidth": "100 Gbit/s"}}
    return build(ClusterSpec.model_validate(spec), base=None, seed=0)


def service_spec(**fields):
    """Llama-2-7B under a light load, with anything changed; None leaves a field out."""
    values = {
        "kind": "inference",
        "name": "chat",
        "model": "llama-2-7b",
        "arrivals": {"kind": "poisson", "rate": "4 req/s"},
        "lengths": {"table": "azure-conversation-2023"},
        "requests": 60,
    } | fields
    return InferenceSpec.model_validate({name: value for name, value in values.items() if value is not None})


def placed(topology, *specs):
    """Make workloads on GPUs that the placer gives them."""
    placer = Placer(topology)
    taken = [tuple(gpu for need in gpus_needed(spec) for gpu in placer.take(*need)) for spec in specs]
    return [create(spec, topology=topology, gpus=gpus) for spec, gpus in zip(specs, taken, strict=True)]


def run_service(topology=None, *, seed=1, prepare=None, links_change=False, until_s=None, **fields):
    """Run one service; return its outcome, the workload and the world."""
    topology = topology or star()
    (workload,) = placed(topology, service_spec(**fields))
    world = World(topology, seed=seed)
    world.links_change = links_change
    process = workload.start(world)
    if prepare is not None:
        prepare(world)
    world.env.run(until=process if until_s is None else until_s)
    return workload.outcome(), workload, world


def requests_of(workload):
    """All requests that were sent to a service."""
    return workload._requests


def events_of(workload, *kinds):
    """Times and replicas of what happened to the fleet."""
    return [
        (event.time_s, event.kind, event.replica)
        for event in workload._fleet.log.events
        if not kinds or event.kind in kinds
    ]


SPLIT = {
    "prefill": {"replicas": 2, "placement": {"nodes": [0]}},
    "decode": {"replicas": 1, "placement": {"nodes": [1]}},
}
"""Two prefill replicas on one node, one decode replica on the other."""
