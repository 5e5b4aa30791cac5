"""The KV cache and the mover of each replica, as a scenario describes them."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.cost.transformer import kv_bytes_per_token
from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.errors import CannotRunError, InputError, Problem
from clustersim.spec.inference import InferenceSpec
from clustersim.spec.kv_cache import NvmeTier, RemoteTier
from clustersim.spec.scheduler import SchedulerSpec
from clustersim.topology import Topology
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.inference.cache.drives import NodeDrives, drive_rates
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.cache.lower_tiers import LowerTiers
from clustersim.workloads.inference.cache.mover import KvMover, TierPlaces
from clustersim.workloads.inference.cache.prefix_cache import PrefixCache
from clustersim.workloads.inference.cache.tier import StoredTier
from clustersim.workloads.inference.replica.layout import Replica

__all__ = ["Caches", "check_tiers"]


class Caches:
    """Makes the caches of a service's replicas; what replicas share is made once.

    Parameters
    ----------
    world
        Clock and links.
    spec
        Of the service.
    """

    def __init__(self, world: World, spec: InferenceSpec) -> None:
        self._world = world
        self._spec = spec
        self._remote: StoredTier | None = None
        self._stores = _store_hosts(spec, world.topology)
        self._drives: dict[str, NodeDrives] = {}

    def cache(self, replica: Replica, scheduler: SchedulerSpec) -> KvCache:
        """Return the empty KV cache of a replica that is scheduled so."""
        plain = replica.memory.cache()
        if not self._spec.kv_cache.prefix_caching:
            return plain
        return PrefixCache(
            plain.total_blocks,
            block_tokens=plain.block_tokens,
            watermark=scheduler.free_fraction,
            block_bytes=plain.block_bytes,
            below=self._below(replica, plain.block_tokens),
            clock=lambda: self._world.env.now,
        )

    def mover(
        self, replica: Replica, cache: KvCache, scheduler: SchedulerSpec, *, name: str
    ) -> KvMover | None:
        """Return what moves the replica's KV, and let its cache use it; None where nothing is moved.

        Parameters
        ----------
        name
            Of the replica.
        """
        spec = self._spec
        if not spec.kv_cache.tiers and scheduler.preemption != "swap":
            return None
        tokens = cache.block_tokens
        mover = KvMover(
            self._world,
            name=name,
            gpus=replica.gpus,
            block_bytes=cache.block_bytes,
            stored_bytes=tokens * self._stored_bytes(replica),
            places=self._places(replica),
            traffic=TrafficClass(spec.traffic.priority, spec.traffic.weight),
        )
        if isinstance(cache, PrefixCache) and cache.below is not None:
            cache.below.on_moves = mover.write
        return mover

    def _below(self, replica: Replica, block_tokens: int) -> LowerTiers | None:
        spec = self._spec.kv_cache
        if not spec.tiers:
            return None
        block_bytes = block_tokens * self._stored_bytes(replica)
        tiers: list[StoredTier] = []
        for tier in spec.tiers:
            blocks = int(tier.capacity // block_bytes)
            if isinstance(tier, RemoteTier):
                if self._remote is None:
                    self._remote = StoredTier("remote", capacity_blocks=blocks, shared=True)
                tiers.append(self._remote)
            else:
                tiers.append(StoredTier(tier.kind, capacity_blocks=blocks))
        return LowerTiers(tiers, write=spec.write)

    def _stored_bytes(self, replica: Replica) -> float:
        """Return the bytes of one token in a lower tier: one copy of what the GPUs have."""
        precision = self._spec.kv_cache.precision or self._spec.precision
        return kv_bytes_per_token(replica.cost.model, precision=precision)

    def _places(self, replica: Replica) -> TierPlaces:
        spec = self._spec.kv_cache
        node_of = self._world.topology.node_of
        nodes = dict.fromkeys(node_of(gpu) for gpu in replica.gpus)
        for tier in spec.tiers:
            if isinstance(tier, NvmeTier):
                read, write = drive_rates(tier, speed=self._world.topology.speeds.storage)
                for node in nodes:
                    if node not in self._drives:
                        self._drives[node] = NodeDrives(
                            self._world.env, read_bytes_per_s=read, write_bytes_per_s=write
                        )
        drives = {node: self._drives[node] for node in nodes if node in self._drives}
        return TierPlaces(tuple(tier.kind for tier in spec.tiers), drives, self._stores)


def check_tiers(spec: InferenceSpec, topology: Topology, gpus: Sequence[str]) -> None:
    """Check before the run that every tier has its place, and GPUs a host to swap to.

    Raises
    ------
    InputError
        For a drive that the catalogue does not have, or a node that the cluster does not have.
    CannotRunError
        For nodes without a host.
    """
    for position, tier in enumerate(spec.kv_cache.tiers):
        if isinstance(tier, NvmeTier):
            try:
                drive_rates(tier)
            except InputError as error:
                paths = [("kv_cache", "tiers", position, *problem.path) for problem in error.problems]
                messages = [problem.message for problem in error.problems]
                raise InputError(list(map(Problem, paths, messages))) from None
    if spec.kv_cache.tiers:
        _check_hosts(topology, gpus, ("kv_cache", "tiers"))
        _store_hosts(spec, topology)
    elif spec.scheduler.preemption == "swap":
        _check_hosts(topology, gpus, ("scheduler", "preemption"))


def _check_hosts(topology: Topology, gpus: Sequence[str], path: tuple[str, ...]) -> None:
    try:
        hosts_of(topology, gpus)
    except CannotRunError as error:
        raise CannotRunError([Problem(path, problem.message) for problem in error.problems]) from None


def _store_hosts(spec: InferenceSpec, topology: Topology) -> tuple[str, ...]:
    """Return the hosts of the nodes whose memory a remote store takes.

    Raises
    ------
    InputError
        For a node that the cluster does not have.
    CannotRunError
        For a node without a host.
    """
    for position, tier in enumerate(spec.kv_cache.tiers):
        if isinstance(tier, RemoteTier):
            return _hosts(topology, tier, ("kv_cache", "tiers", position, "nodes"))
    return ()


def _hosts(topology: Topology, tier: RemoteTier, path: tuple[str | int, ...]) -> tuple[str, ...]:
    names = list(topology.gpus_by_node)
    chosen = range(len(names)) if tier.nodes is None else tier.nodes
    unknown = [node for node in chosen if node >= len(names)]
    if unknown:
        last = len(names) - 1
        raise InputError(
            Problem(path, f"node {unknown[0]} does not exist; the cluster has nodes 0 to {last}")
        )
    wanted = {names[node] for node in chosen}
    hosts = [
        vertex
        for vertex, fields in topology.graph.nodes(data=True)
        if fields["kind"] == "host" and fields.get("node") in wanted
    ]
    if not hosts:
        raise CannotRunError(Problem(path, "these nodes have no hosts, whose memory could hold the store"))
    return tuple(hosts)
