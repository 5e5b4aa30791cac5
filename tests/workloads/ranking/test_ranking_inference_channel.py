"""Copies over links: closed forms where they are alone, flows where they are not."""

import pytest
from ranking_pools import ranking_scenario

from clustersim import topology
from clustersim.engine.fabric import DEFAULT_TRAFFIC
from clustersim.engine.world import World
from clustersim.workloads.bulk_flow import BulkRoute
from clustersim.workloads.ranking.inference.replica.channel import Channel, Message

SIZE = 24e6


def world():
    return World(topology.build(ranking_scenario().cluster))


def channel(world, gpu, *, owner=None):
    parts = {("node0/host0", f"node0/gpu{gpu}"): 1.0}
    route = BulkRoute.of(
        world, parts, owner=owner or f"feed/gpu{gpu}", purpose="copy", traffic=DEFAULT_TRAFFIC
    )
    return Channel(world, route)


def sent(world, *messages):
    """Send (channel, message) at once; return when each arrived, its waiting and its shares."""
    found = []
    for own, message in messages:
        own.send(message, lambda waited_s, shares: found.append((world.env.now, waited_s, shares)))
    world.env.run()
    return found


def test_a_copy_alone_takes_latency_and_bytes_over_the_narrowest_link():
    here = world()
    own = channel(here, 0)
    path = here.topology.path("node0/host0", "node0/gpu0")
    ((end_s, waited_s, shares),) = sent(here, (own, Message(SIZE, host_s=1e-5)))
    rate = min(here.fabric.capacity_bytes_per_s(link) for link in path.links)
    latency_s = path.latency_s + here.topology.message_overhead_s(path.links)
    assert end_s == pytest.approx(1e-5 + latency_s + SIZE / rate, rel=1e-12)
    assert waited_s == 0.0
    assert sum(shares.values()) == pytest.approx(end_s, rel=1e-12)


def test_copies_of_one_engine_go_one_after_the_other():
    here = world()
    own = channel(here, 0)
    first, second = sent(here, (own, Message(SIZE)), (own, Message(SIZE)))
    assert second[0] == pytest.approx(2.0 * first[0])
    assert second[1] == pytest.approx(first[0])


def test_copies_to_two_gpus_of_one_switch_share_its_link():
    """GPUs 0 and 1 of a DGX A100 hang on one PCIe switch with one link to the host, GPU 2 on another."""
    alone_s, both_s, apart_s = (last_s(*gpus) for gpus in ((0,), (0, 1), (0, 2)))
    assert both_s == pytest.approx(2.0 * alone_s, rel=0.01)
    assert apart_s == pytest.approx(alone_s, rel=1e-9)


def last_s(*gpus):
    here = world()
    return sent(here, *((channel(here, gpu), Message(SIZE)) for gpu in gpus))[-1][0]


def test_a_flow_that_meets_nobody_takes_what_the_closed_form_says():
    here = world()
    own, stranger = channel(here, 0), channel(here, 1)
    assert not own.private
    assert stranger.private is False
    ((flowed_s, _, shares),) = sent(here, (own, Message(SIZE, host_s=2e-5)))
    quiet = world()
    ((closed_s, _, closed_shares),) = sent(quiet, (channel(quiet, 0), Message(SIZE, host_s=2e-5)))
    assert flowed_s == pytest.approx(closed_s, rel=1e-9)
    assert shares == pytest.approx(closed_shares, rel=1e-6)


def test_a_slow_host_bounds_a_copy():
    here = world()
    ((end_s, _, shares),) = sent(here, (channel(here, 0), Message(SIZE, least_s=0.5)))
    assert shares["host"] == pytest.approx(0.5)
    assert end_s == pytest.approx(0.5, rel=1e-3)
