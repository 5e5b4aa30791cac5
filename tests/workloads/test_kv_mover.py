"""KV on its way: which links it takes, how long, and what it meets there."""

from __future__ import annotations

import pytest

from clustersim.engine.trace import NETWORK_LATENCY, STORAGE
from clustersim.engine.world import World
from clustersim.errors import InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.kv_cache import NvmeTier
from clustersim.topology import build
from clustersim.topology.hosts import hosts_of
from clustersim.units import BANDWIDTH, SIZE, quantity
from clustersim.workloads.inference.cache.drives import NodeDrives, drive_rates
from clustersim.workloads.inference.cache.fetch import HBM, Fetch, Move
from clustersim.workloads.inference.cache.mover import KvMover, TierPlaces
from clustersim.workloads.inference.requests import Request

BLOCK = 2.0**20
PCIE = 48e9
REQUEST = Request(7, 0.0, 1000, 1)


@pytest.fixture(scope="module")
def topology():
    machine = {"kind": "star", "nodes": 2, "node": "dgx-h100"}
    spec = ClusterSpec.model_validate({"topology": machine, "fabric": {"link": "infiniband-ndr"}})
    return build(spec, base=None, seed=0)


def a_mover(topology, *, gpus=1, kinds=("host", "nvme", "remote"), drive=7e9, stored=BLOCK, keep_trace=True):
    world = World(topology, keep_trace=keep_trace)
    used = topology.gpus[:gpus]
    drives = {
        topology.node_of(gpu): NodeDrives(world.env, read_bytes_per_s=drive, write_bytes_per_s=drive / 2)
        for gpu in used
    }
    stores = tuple(dict.fromkeys(hosts_of(topology, topology.gpus[8:]).values()))
    places = TierPlaces(kinds, drives, stores)
    return world, KvMover(
        world, name="chat.0", gpus=used, block_bytes=BLOCK, stored_bytes=stored, places=places
    )


def finish(world, *events):
    """Run until all have happened; return their values."""
    world.env.run(world.env.all_of(events))
    return [event.value for event in events]


def crossed(world):
    """Return the links that carried anything."""
    names = world.topology.link_names
    return {names[link] for route, size in world.fabric.moved_bytes() if size for link in route.links}


def of_tier(tier, blocks=1000, node=0):
    return Fetch(100, (Move(tier, HBM, blocks),))


def test_a_swap_takes_what_pcie_takes(topology) -> None:
    world, mover = a_mover(topology)
    (loaded,) = finish(world, mover.swap_out(1000))
    assert world.env.now == pytest.approx(1000 * BLOCK / PCIE, rel=1e-4)
    assert sum(loaded.shares.values()) == pytest.approx(world.env.now, rel=1e-12)
    assert world.trace.rows[loaded.row].lane == "chat.0/kv-swap"
    assert crossed(world) == {"node0/gpu0>node0/pcie0", "node0/pcie0>node0/host0"}


def test_swapping_in_takes_the_other_direction_of_the_links(topology) -> None:
    world, mover = a_mover(topology)
    finish(world, mover.swap_out(1000), mover.swap_in(1000))
    assert world.env.now == pytest.approx(1000 * BLOCK / PCIE, rel=1e-4)


def test_gpus_of_a_replica_move_their_parts_side_by_side(topology) -> None:
    world, mover = a_mover(topology, gpus=4)
    finish(world, mover.swap_in(1000))
    assert world.env.now == pytest.approx(1000 * BLOCK / PCIE, rel=1e-4)


def test_two_fetches_share_the_links(topology) -> None:
    world, mover = a_mover(topology)
    loaded = finish(world, mover.fetch(REQUEST, of_tier(0)), mover.fetch(REQUEST, of_tier(0)))
    assert world.env.now == pytest.approx(2 * 1000 * BLOCK / PCIE, rel=1e-4)
    for each in loaded:
        assert sum(each.shares.values()) == pytest.approx(world.env.now, rel=1e-12)


def test_other_traffic_on_the_links_slows_a_fetch(topology) -> None:
    world, mover = a_mover(topology)
    world.transfer("node0/host0", "node0/gpu0", 5000 * BLOCK, owner="neighbour")
    finish(world, mover.fetch(REQUEST, of_tier(0)))
    assert world.env.now == pytest.approx(2 * 1000 * BLOCK / PCIE, rel=1e-4)


def test_a_slow_drive_is_what_a_fetch_waits_for(topology) -> None:
    world, mover = a_mover(topology, drive=7e9)
    (loaded,) = finish(world, mover.fetch(REQUEST, of_tier(1)))
    assert loaded.shares == {STORAGE: pytest.approx(1000 * BLOCK / 7e9)}
    assert world.env.now == pytest.approx(1000 * BLOCK / 7e9)


def test_fast_drives_leave_the_links_to_wait_for(topology) -> None:
    world, mover = a_mover(topology, drive=100e9)
    (loaded,) = finish(world, mover.fetch(REQUEST, of_tier(1)))
    assert STORAGE not in loaded.shares
    assert world.env.now == pytest.approx(1000 * BLOCK / PCIE, rel=1e-4)


def test_a_remote_store_sends_over_the_network(topology) -> None:
    world, mover = a_mover(topology)
    (loaded,) = finish(world, mover.fetch(REQUEST, of_tier(2)))
    assert {"node1/nic0>switch0", "switch0>node0/nic0"} <= crossed(world)
    path = topology.path("node1/host0", "node0/gpu0")
    slowest = min(topology.link_bandwidth_bytes_per_s[list(path.links)])
    assert world.env.now == pytest.approx(1000 * BLOCK / slowest, rel=1e-3)
    waited_s = path.latency_s + topology.message_overhead_s(path.links)
    assert loaded.shares[NETWORK_LATENCY] == pytest.approx(waited_s, rel=1e-12)


def test_the_parts_of_one_fetch_run_at_once_and_the_slowest_counts(topology) -> None:
    world, mover = a_mover(topology, drive=1e9)
    moves = (Move(0, HBM, 10), Move(1, HBM, 500), Move(2, HBM, 10))
    (loaded,) = finish(world, mover.fetch(REQUEST, Fetch(100, moves)))
    assert world.env.now == pytest.approx(500 * BLOCK / 1e9)
    assert set(loaded.shares) == {STORAGE}


@pytest.mark.parametrize(
    ("move", "moved"),
    [
        (Move(HBM, 0, 100), {"node0/gpu0>node0/pcie0"}),
        (Move(0, 1, 100), set()),
        (Move(HBM, 2, 100), {"node0/gpu0>node0/pcie0", "switch0>node1/nic0"}),
        (Move(0, 2, 100), {"node0/host0>node0/pcie0", "switch0>node1/nic0"}),
        (Move(1, 2, 100), {"node0/host0>node0/pcie0", "switch0>node1/nic0"}),
    ],
)
def test_what_goes_down_takes_the_links_from_where_it_is(topology, move, moved) -> None:
    world, mover = a_mover(topology)
    mover.write([move])
    world.env.run()
    assert moved <= crossed(world)
    assert bool(moved) == bool(crossed(world))


def test_each_gpu_writes_its_part_of_one_copy_and_reads_all_that_it_needs(topology) -> None:
    world, mover = a_mover(topology, gpus=4, stored=BLOCK)
    mover.write([Move(HBM, 0, 1000)])
    world.env.run()
    assert world.env.now == pytest.approx(1000 * BLOCK / 4 / PCIE, rel=1e-3)
    start_s = world.env.now
    finish(world, mover.fetch(REQUEST, of_tier(0)))
    assert world.env.now - start_s == pytest.approx(1000 * BLOCK / PCIE, rel=1e-4)


def test_every_byte_that_goes_to_a_store_leaves_the_node_once(topology) -> None:
    world, mover = a_mover(topology, gpus=8)
    mover.write([Move(0, 2, 1000), Move(HBM, 2, 500)])
    world.env.run()
    names = topology.link_names
    uplinks = {link for link, name in enumerate(names) if name.startswith("switch0>node1/")}
    moved = sum(
        size * weight
        for route, size in world.fabric.moved_bytes()
        for link, weight in zip(route.links, route.weights, strict=True)
        if link in uplinks
    )
    assert moved == pytest.approx(1500 * BLOCK)


def test_drives_serve_in_order_and_read_beside_writing(topology) -> None:
    world = World(topology)
    drives = NodeDrives(world.env, read_bytes_per_s=10.0, write_bytes_per_s=5.0)
    assert [drives.read(20.0), drives.read(10.0), drives.write(10.0)] == [2.0, 3.0, 2.0]
    world.env.run(2.5)
    assert drives.read(10.0) == 1.5


def test_the_seconds_are_told_where_no_trace_is_kept(topology) -> None:
    world, mover = a_mover(topology, keep_trace=False)
    (loaded,) = finish(world, mover.swap_out(10))
    assert loaded.row == -1
    assert sum(loaded.shares.values()) == pytest.approx(world.env.now, rel=1e-12)


def test_rates_of_drives_are_the_catalogues_or_given() -> None:
    capacity = quantity("1 TB", SIZE)
    assert drive_rates(NvmeTier(kind="nvme", capacity=capacity, drives=4)) == (28e9, 14e9)
    given = NvmeTier(kind="nvme", capacity=capacity, read_bandwidth=quantity("2 GB/s", BANDWIDTH))
    assert drive_rates(given) == (2e9, 3.5e9)
    with pytest.raises(InputError, match="Did you mean 'nvme-gen4'"):
        drive_rates(NvmeTier(kind="nvme", capacity=capacity, drive="nvme-gen-4"))
