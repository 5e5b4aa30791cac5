"""Routing costs one search per switch that destinations hang on, however many GPUs there are."""

import pytest


def ring_routes(topology):
    gpus = topology.gpus
    return [topology.route(one, other) for one, other in zip(gpus, gpus[1:] + gpus[:1], strict=True)]


@pytest.mark.parametrize("kind", ["fat-tree", "rail-optimized"])
def test_a_ring_over_1024_gpus_costs_one_search_per_leaf_switch(make, kind):
    topology = make(kind, 128)
    routes = ring_routes(topology)
    leaves = {topology.link_ends[route[-2]][0] for route in routes if len(route) > 2}
    assert len(routes) == 1024
    assert all(routes)
    assert 1 <= topology.route_searches <= len(leaves) <= 200
    ring_routes(topology)
    assert topology.route_searches <= len(leaves)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fat-tree", "rail-optimized"])
def test_a_ring_over_16384_gpus_still_searches_only_from_leaf_switches(make, kind):
    topology = make(kind, 2048)
    routes = ring_routes(topology)
    assert len(routes) == 16384
    assert all(routes)
    assert topology.route_searches <= 1024
