"""What a radar's numbers are bound to, in words: the hardware, its scale, the plan and the load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, STORAGE
from clustersim.report.numbers import bandwidth, count, round_duration
from clustersim.results.attribution import NETWORK_BANDWIDTH

if TYPE_CHECKING:
    from clustersim.spec.cluster import ClusterSpec
    from clustersim.study.radar import Profile

__all__ = ["PURPOSES", "RESOURCES_SHORT", "briefly", "hardware", "plan", "shared_hardware"]

RESOURCES_SHORT: Mapping[str, str] = {
    COMPUTE: "compute",
    MEMORY_BANDWIDTH: "memory bandwidth",
    NETWORK_BANDWIDTH: "network bandwidth",
    NETWORK_LATENCY: "network latency",
    HOST: "host",
    STORAGE: "storage",
    "memory_capacity": "memory capacity",
}
"""Resources as tables and axes name them."""

PURPOSES: Mapping[str, str] = {"training": "Training", "inference": "Inference"}
"""Purposes of workloads, from left to right."""

_OBJECTIVES = (("ttft", "TTFT"), ("tpot", "TPOT"), ("e2e", "whole answer"), ("latency", "answer"))
_LETTERS_OF_REASON = 150


def briefly(reason: str) -> str:
    """Return the beginning of a reason; the whole is in `Radar.document()`."""
    return shorten(reason, _LETTERS_OF_REASON, placeholder=" …")


def shared_hardware(profiles: Sequence[Profile]) -> str:
    """Return the cluster that all workloads share; empty where they run on different ones."""
    found = {hardware(profile) for profile in profiles}
    return found.pop() if len(found) == 1 else ""


def hardware(profile: Profile) -> str:
    """Return the devices and the network: `64 × h100-sxm5-80gb, rail-optimized network of 8 dgx-h100, …`."""
    cluster = profile.subject.scenario.cluster
    parts = [f"{count(profile.need.gpus)} × {profile.need.accelerator or 'GPUs'}", *_topology(cluster)]
    return ", ".join([*parts, *_fabric(cluster), *_speeds(cluster)])


def _topology(cluster: ClusterSpec) -> Iterator[str]:
    topology = cluster.topology
    nodes, node = getattr(topology, "nodes", None), getattr(topology, "node", None)
    if isinstance(nodes, int) and node is not None:
        yield f"{topology.kind} network of {count(nodes)} {node}"
    else:
        yield f"{topology.kind} network"


def _fabric(cluster: ClusterSpec) -> Iterator[str]:
    fabric = cluster.fabric
    if fabric.bandwidth is not None:
        yield bandwidth(fabric.bandwidth)
    elif fabric.link is not None:
        yield fabric.link


def _speeds(cluster: ClusterSpec) -> Iterator[str]:
    for resource, factor in cluster.speeds:
        if factor != 1.0:
            yield f"{RESOURCES_SHORT[resource]} × {factor:g}"


def plan(profile: Profile) -> str:
    """Return model, layout and load: `llama-2-70b, tensor 8 × data 4, …`."""
    facts, spec = profile.facts, profile.subject.spec
    parts = [str(facts.get("model") or getattr(spec, "model", ""))]
    parts += _layout(facts)
    precision = getattr(spec, "precision", None)
    parts += [] if precision is None else [str(precision)]
    parts += [*_tables(spec), *_load(spec), *_objectives(spec)]
    return ", ".join(part for part in parts if part)


def _layout(facts: Mapping[str, float | str]) -> Iterator[str]:
    if "layout" in facts:
        yield str(facts["layout"])
        return
    replicas = float(facts.get("replicas", 1))
    if replicas > 1:
        yield f"{replicas:g} replicas of {float(facts.get('gpus', replicas)) / replicas:g} GPUs"


def _tables(spec: object) -> Iterator[str]:
    """Yield how embedding tables are kept, and what else is special about a ranking workload."""
    embeddings = getattr(spec, "embeddings", None)
    if embeddings is not None:
        yield f"{embeddings.kind} tables in {embeddings.precision}"
        yield f"inputs from {spec.inputs}"  # type: ignore[attr-defined]
    elif hasattr(spec, "embedding_precision"):
        yield f"tables in {spec.embedding_precision}"


def _load(spec: object) -> Iterator[str]:
    for name, words in (
        ("global_batch", "global batch"),
        ("batch", "batch per GPU"),
        ("sequence", "sequence"),
    ):
        value = getattr(spec, name, None)
        if isinstance(value, int):
            yield f"{words} {count(value)}"
    lengths = getattr(spec, "lengths", None)
    if getattr(lengths, "prompt", None):
        yield f"{count(lengths.prompt)} + {count(lengths.output)} tokens"  # type: ignore[union-attr]
    arrivals = getattr(spec, "arrivals", None)
    clients, rate = getattr(arrivals, "clients", None), getattr(arrivals, "rate", None)
    if isinstance(clients, int):
        yield f"{count(clients)} clients"
    elif isinstance(rate, float):
        yield f"{rate:,.4g} requests/s"


def _objectives(spec: object) -> Iterator[str]:
    slo = getattr(spec, "slo", None)
    for name, words in _OBJECTIVES:
        limit_s = getattr(slo, name, None)
        if limit_s is not None:
            yield f"{words} within {round_duration(limit_s)}"
