"""The connections over which KV goes from the replicas of one pool to those of another."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.workloads.bulk_flow import BulkRoute
from clustersim.workloads.inference.fleet.kv_shards import KvShards, resharded
from clustersim.workloads.inference.fleet.member import Member
from clustersim.workloads.inference.replica.layout import Replica

__all__ = ["KvRoute", "KvRoutes"]


class KvRoute(NamedTuple):
    """From one replica to another: the links, and the bytes that a prompt token takes on them."""

    bulk: BulkRoute
    bytes_per_token: float


class KvRoutes:
    """Connections between replicas, laid when a pair of them first has a request together.

    *Equation.* Bytes per token = KV bytes per token of the whole model, in the precision of the source's
    cache, times the copies that the target's layout holds.

    Parameters
    ----------
    owner
        Whose bytes they are: no replica's, so that one whose links they use counts them as strangers.

    **Valid when** connections stay open, as those of NIXL and NCCL do. Data-parallel groups of a replica
    send and get equal parts, whichever of them has the request.
    """

    def __init__(self, world: World, *, owner: str, traffic: TrafficClass) -> None:
        self._world = world
        self._owner = owner
        self._traffic = traffic
        self._routes: dict[tuple[int, int], KvRoute] = {}

    def between(self, source: Member, target: Member) -> KvRoute:
        """Return the route from one replica to another."""
        pair = source.number, target.number
        if pair not in self._routes:
            self._routes[pair] = self._laid(source.replica, target.replica)
        return self._routes[pair]

    def _laid(self, source: Replica, target: Replica) -> KvRoute:
        parts: dict[tuple[str, str], float] = {}
        sources, targets = _groups(source), _groups(target)
        copies = 0.0
        for number, group in enumerate(targets):
            one = resharded(sources[number % len(sources)], group)
            copies = one.copies
            for pair, part in one.parts.items():
                parts[pair] = parts.get(pair, 0.0) + part / len(targets)
        bulk = BulkRoute.of(self._world, parts, owner=self._owner, purpose="KV", traffic=self._traffic)
        return KvRoute(bulk, copies * _bytes_per_token(source))


def _groups(replica: Replica) -> list[KvShards]:
    """Return the shards of each data-parallel group of a replica."""
    layout, model = replica.cost.layout, replica.cost.model
    ends = [size / model.layers for size in accumulate(layout.stage_sizes(model.layers))]
    heads = 1 if model.mla is not None else min(layout.tensor, model.kv_heads)
    groups = []
    for group in range(layout.data):
        stages = [(stage * layout.data + group) * layout.tensor for stage in range(layout.pipeline)]
        gpus = [gpu for start in stages for gpu in replica.gpus[start : start + layout.tensor]]
        groups.append(KvShards(gpus, tuple(ends), heads))
    return groups


def _bytes_per_token(replica: Replica) -> float:
    model = replica.cost.model
    return model.layers * replica.cost.formats.kv_token_bytes(model, kv_heads=model.kv_heads)
