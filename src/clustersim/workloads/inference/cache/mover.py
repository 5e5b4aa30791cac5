"""Keys and values on their way between GPUs, hosts, drives and a remote store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import simpy

from clustersim.engine.fabric import DEFAULT_TRAFFIC, TrafficClass
from clustersim.engine.trace import STORAGE
from clustersim.engine.world import World
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.bulk_flow import BulkFlow, BulkRoute, Sent
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


class _Arrival:
    """Waits for all parts of what moves together, and tells how the last of them came."""

    def __init__(self, env: simpy.Environment, parts: int) -> None:
        self.event = env.event()
        self._missing = parts

    def part(self, row: int, shares: Mapping[str, float]) -> None:
        """Note that one more part is there."""
        self._missing -= 1
        if not self._missing:
            self.event.succeed(Loaded(row, shares))


class KvMover:
    """Moves KV blocks of one replica as flows over the links, where they meet everybody else's.

    *Equation.* Blocks go between each GPU and its host (PCIe), or the hosts that a remote store is striped
    over, as one flow in equal parts: T = overhead + latency + u·S/x, with x the max-min fair rate. What
    drives hold is read while it goes on to the GPUs, so that the longer of the two counts. On the way
    down each GPU sends an equal part of one copy; on the way up each gets all that it needs, which is
    more where GPUs keep the same (latent caches, fewer KV heads than GPUs).

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

    **Valid when** the host's memory is not what limits, and a store's host sends over the adapter that is
    nearest to it.
    **Source:** Qin et al., "Mooncake", FAST 2025, section 4 (a store in host memory, striped, over RDMA).
    **Checked by:** tests/workloads/test_kv_mover.py.
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
        self._routes: dict[tuple[str, str], BulkRoute] = {}

    def fetch(self, request: Request, fetch: Fetch) -> simpy.Event:
        """Bring up what a request waits for; the event's value is a `Loaded`."""
        kinds = self._places.kinds
        from_drives = sum(move.blocks for move in fetch.moves if kinds[move.source] == "nvme")
        nodes = self._drives_of(from_drives)
        arrival = _Arrival(self._world.env, len(fetch.moves) + len(nodes))
        for drives, size in nodes:
            self._after(drives.read(size), arrival, "read from drives")
        label = f"{fetch.tokens} tokens of request {request.index}"
        for move in fetch.moves:
            source = "remote" if kinds[move.source] == "remote" else "host"
            size = move.blocks * self._block_bytes * len(self._gpus)
            self._send(source, "gpu", size, "fetch", label, arrival)
        return arrival.event

    def write(self, moves: Sequence[Move]) -> None:
        """Copy blocks down; nobody waits for it."""
        kinds = self._places.kinds
        for source, target, blocks in moves:
            size = blocks * self._stored_bytes
            if source != HBM and kinds[source] == "nvme":
                for drives, part in self._drives_of(blocks):
                    drives.read(part)
            if kinds[target] == "nvme":
                for drives, part in self._drives_of(blocks):
                    drives.write(part)
            start = "gpu" if source == HBM else "host"
            end = "remote" if kinds[target] == "remote" else "host"
            if start != end:
                self._send(start, end, size, "store", "store")

    def swap_out(self, blocks: int) -> simpy.Event:
        """Move blocks of preempted requests to host memory; the event's value is a `Loaded`."""
        return self._swap("gpu", "host", blocks, "swap out")

    def swap_in(self, blocks: int) -> simpy.Event:
        """Move blocks of preempted requests back; the event's value is a `Loaded`."""
        return self._swap("host", "gpu", blocks, "swap in")

    def _swap(self, source: str, target: str, blocks: int, label: str) -> simpy.Event:
        arrival = _Arrival(self._world.env, 1)
        size = blocks * self._block_bytes * len(self._gpus)
        self._send(source, target, size, "swap", label, arrival)
        return arrival.event

    def _send(
        self,
        source: str,
        target: str,
        size_bytes: float,
        lane: str,
        label: str,
        arrival: _Arrival | None = None,
    ) -> None:
        """Start a flow between GPUs, their hosts and the remote store's."""

        def arrived(sent: Sent) -> None:
            row = self._world.trace.record(
                "transfer",
                f"{self._name}/kv-{lane}",
                label,
                sent.start_s,
                sent.end_s,
                shares=sent.shares,
            )
            if arrival is not None:
                arrival.part(row, sent.shares)

        BulkFlow(self._world, self._route(source, target), size_bytes, arrived=arrived)

    def _route(self, source: str, target: str) -> BulkRoute:
        if (source, target) not in self._routes:
            pairs = Counter(
                ends for gpu in self._gpus for ends in product(self._at(source, gpu), self._at(target, gpu))
            )
            self._routes[source, target] = BulkRoute.of(
                self._world,
                {ends: count / pairs.total() for ends, count in pairs.items()},
                owner=f"{self._name}/kv",
                purpose="KV",
                traffic=self._traffic,
            )
        return self._routes[source, target]

    def _at(self, place: str, gpu: str) -> Sequence[str]:
        """Return the vertices that stand for a place, as one GPU sees it."""
        if place == "remote":
            return self._places.stores
        return (gpu if place == "gpu" else self._hosts[gpu],)

    def _drives_of(self, blocks: int) -> list[tuple[NodeDrives, float]]:
        """Return the drives of each node with their part of so many blocks, in bytes."""
        if not blocks:
            return []
        nodes = [self._world.topology.node_of(gpu) for gpu in self._gpus]
        size = blocks * self._stored_bytes / len(nodes)
        return [(self._places.drives[node], count * size) for node, count in Counter(nodes).items()]

    def _after(self, seconds: float, arrival: _Arrival, label: str) -> None:
        """Note a part that drives have done so many seconds from now."""
        env, start_s = self._world.env, self._world.env.now

        def done(_: simpy.Event) -> None:
            shares = {STORAGE: env.now - start_s}
            row = self._world.trace.record(
                "transfer", f"{self._name}/drives", label, start_s, env.now, shares=shares
            )
            arrival.part(row, shares)

        timer = env.timeout(seconds)
        timer.callbacks.append(done)
