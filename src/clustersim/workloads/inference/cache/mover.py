"""Keys and values on their way between GPUs, hosts, drives and a remote store."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from clustersim.engine.fabric import DEFAULT_TRAFFIC, TrafficClass
from clustersim.engine.trace import NO_CAUSE, STORAGE
from clustersim.engine.world import World
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.inference.cache.drives import NodeDrives
from clustersim.workloads.inference.cache.fetch import HBM, Fetch, Loaded, Move
from clustersim.workloads.inference.cache.tier import TierKind
from clustersim.workloads.inference.requests import Request

__all__ = ["KvMover", "TierPlaces"]


@dataclass(frozen=True)
class TierPlaces:
    """Where the tiers below GPU memory are, for one replica.

    Parameters
    ----------
    kinds
        Of each tier, from the fastest.
    drives
        Of each node that the replica has GPUs in.
    stores
        Hosts that a remote store is spread over.
    """

    kinds: tuple[TierKind, ...] = ()
    drives: Mapping[str, NodeDrives] = field(default_factory=dict)
    stores: tuple[str, ...] = ()


class _Part:
    """One of several transfers that are waited for together."""

    def __init__(self, event: simpy.Event, shares: dict[str, float]) -> None:
        self.event = event
        self.shares = shares
        self.end_s = 0.0
        assert event.callbacks is not None
        event.callbacks.append(self._note)

    def _note(self, event: simpy.Event) -> None:
        self.end_s = event.env.now


class KvMover:
    """Moves KV blocks of one replica as flows over the links, where they meet everybody else's.

    *Equation.* Each GPU's part of the blocks is a flow of its own between the GPU and its host (PCIe), or
    the host that a remote store keeps them on; all parts run at once, and the slowest counts. What drives
    hold is read while it goes on to the GPUs, so that the longer of the two counts. On the way down
    each GPU sends an equal part of one copy; on the way up each gets all that it needs, which is more
    where GPUs keep the same (latent caches, fewer KV heads than GPUs).

    Parameters
    ----------
    world
        Clock, links and trace.
    name
        Of the replica. Its bytes belong to `name/kv`: links that they have in common with the collectives
        of the same replica are not private.
    gpus
        Of the replica.
    block_bytes
        Of one block on one GPU.
    stored_bytes
        Of one block in a lower tier.
    places
        Where the tiers are.
    traffic
        Priority and weight of its bytes.

    Raises
    ------
    CannotRunError
        For a GPU whose node has no host.

    **Valid when** the host's memory is not what limits, and copies are of many blocks, so that one copy's
    start costs nothing beside it. **Source:** Qin et al., "Mooncake", FAST 2025 (stores over RDMA between
    host memory and GPU memory). **Checked by:** tests/workloads/test_kv_mover.py.
    """

    def __init__(
        self,
        world: World,
        *,
        name: str,
        gpus: Sequence[str],
        block_bytes: float,
        stored_bytes: float,
        places: TierPlaces | None = None,
        traffic: TrafficClass = DEFAULT_TRAFFIC,
    ) -> None:
        self._world = world
        self._name = name
        self._gpus = tuple(gpus)
        self._block_bytes = block_bytes
        self._stored_bytes = stored_bytes
        self._places = places or TierPlaces()
        self._traffic = traffic
        self._hosts = hosts_of(world.topology, gpus)

    def fetch(self, request: Request, fetch: Fetch) -> simpy.Process:
        """Bring up what a request waits for; the event's value is a `Loaded`."""
        label = f"{fetch.tokens} tokens of request {request.index}"
        return self._run([part for move in fetch.moves for part in self._up(move, label)])

    def write(self, moves: Sequence[Move]) -> None:
        """Copy blocks down; nobody waits for it."""
        for move in moves:
            self._down(move)

    def swap_out(self, blocks: int) -> simpy.Process:
        """Move blocks of a preempted request to host memory; the event's value is a `Loaded`."""
        size = blocks * self._block_bytes
        return self._run([self._part(gpu, self._hosts[gpu], size, "swap", "swap out") for gpu in self._gpus])

    def swap_in(self, blocks: int) -> simpy.Process:
        """Move blocks of a preempted request back; the event's value is a `Loaded`."""
        size = blocks * self._block_bytes
        return self._run([self._part(self._hosts[gpu], gpu, size, "swap", "swap in") for gpu in self._gpus])

    def _up(self, move: Move, label: str) -> list[_Part]:
        size = move.blocks * self._block_bytes
        kind = self._places.kinds[move.source]
        if kind == "remote":
            store = self._places.stores[move.node]
            return [self._part(store, gpu, size, "fetch", label) for gpu in self._gpus]
        parts = [self._part(self._hosts[gpu], gpu, size, "fetch", label) for gpu in self._gpus]
        return parts + self._on_drives(move.blocks, NodeDrives.read) if kind == "nvme" else parts

    def _down(self, move: Move) -> None:
        """Copy to a host or a store; to drives over the host, unless it has the blocks already."""
        kinds = self._places.kinds
        size = move.blocks * self._stored_bytes / len(self._gpus)
        if move.source != HBM and kinds[move.source] == "nvme":
            self._on_drives(move.blocks, NodeDrives.read)
        if kinds[move.target] == "nvme":
            self._on_drives(move.blocks, NodeDrives.write)
        for gpu in self._gpus:
            source = gpu if move.source == HBM else self._hosts[gpu]
            remote = kinds[move.target] == "remote"
            target = self._places.stores[move.node] if remote else self._hosts[gpu]
            if source != target:
                self._part(source, target, size, "store", "store")

    def _on_drives(self, blocks: int, job: Callable[[NodeDrives, float], float]) -> list[_Part]:
        """Let each node's drives do their part of a job."""
        node_of = self._world.topology.node_of
        nodes = [node_of(gpu) for gpu in self._gpus]
        parts = []
        for node in dict.fromkeys(nodes):
            size = blocks * self._stored_bytes * nodes.count(node) / len(nodes)
            seconds = job(self._places.drives[node], size)
            parts.append(_Part(self._world.env.timeout(seconds), {STORAGE: seconds}))
        return parts

    def _part(self, source: str, target: str, size_bytes: float, kind: str, label: str) -> _Part:
        shares: dict[str, float] = {}
        done = self._world.transfer(
            source,
            target,
            size_bytes,
            lane=f"{self._name}/kv-{kind}",
            label=label,
            owner=f"{self._name}/kv",
            traffic=self._traffic,
            shares=shares,
        )
        return _Part(done, shares)

    def _run(self, parts: Sequence[_Part]) -> simpy.Process:
        return self._world.env.process(self._together(parts))

    def _together(self, parts: Sequence[_Part]) -> Generator[simpy.Event, Any, Loaded]:
        yield self._world.env.all_of([part.event for part in parts])
        last = max(parts, key=lambda part: part.end_s)
        row = last.event.value
        return Loaded(NO_CAUSE if row is None else row, last.shares)
