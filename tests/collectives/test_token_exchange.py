"""Tokens that cross the network once per node: bytes on links against the closed form, and who gets what."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from collective_bench import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalog.models import MoeConfig
from clustersim.collectives import Communicator
from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.meaning import check_plan
from clustersim.collectives.token_exchange import TokenExchange
from clustersim.engine.world import World
from clustersim.topology import Topology

MIB = 2**20


def _tokens(**fields: int) -> TokenExchange:
    return TokenExchange(MoeConfig(ffn_hidden=1, **fields))


def bytes_on_links(topology: Topology, tokens: TokenExchange | str, size_bytes: float) -> dict[str, float]:
    world = World(topology)
    communicator = Communicator(world, topology.gpus, owner="a", algorithm=tokens)
    world.env.run(until=communicator.all_to_all(size_bytes))
    return dict(zip(topology.link_names, world.fabric.usage().bytes, strict=True))


def leaving(topology: Topology, used: dict[str, float]) -> float:
    """Bytes on links that leave nodes."""
    home = dict(topology.graph.nodes(data="node"))
    ends = dict(zip(topology.link_names, topology.link_ends, strict=True))
    return sum(size for link, size in used.items() if home[ends[link][0]] and not home[ends[link][1]])


@pytest.mark.parametrize("held", [1, 2, 4, 8])
def test_the_chance_of_a_visit_is_that_of_counting_all_choices(held: int) -> None:
    choices = list(combinations(range(16), 3))
    visiting = sum(any(expert < held for expert in choice) for choice in choices)
    tokens = _tokens(experts=16, experts_per_token=3)
    assert tokens.moe.visit_chance(held) == pytest.approx(visiting / len(choices), rel=1e-12)


@pytest.mark.parametrize("held", [2, 4, 8])
def test_groups_of_experts_limit_the_nodes_that_a_token_visits(held: int) -> None:
    """16 experts in 4 groups, of which the router takes 2 and 3 experts of these."""
    choices = [
        choice
        for groups in combinations(range(4), 2)
        for choice in combinations([4 * group + place for group in groups for place in range(4)], 3)
    ]
    visiting = sum(any(expert < held for expert in choice) for choice in choices)
    tokens = _tokens(experts=16, experts_per_token=3, groups=4, groups_per_token=2)
    assert tokens.moe.visit_chance(held) == pytest.approx(visiting / len(choices), rel=1e-12)


def test_deepseeks_tokens_visit_at_most_four_of_eight_nodes() -> None:
    limited = _tokens(experts=256, experts_per_token=8, groups=8, groups_per_token=4)
    free = _tokens(experts=256, experts_per_token=8)
    assert 8 * limited.moe.visit_chance(32) == pytest.approx(3.63, abs=0.01)
    assert 8 * free.moe.visit_chance(32) == pytest.approx(5.30, abs=0.01)


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_a_token_leaves_its_node_once_for_each_other_that_it_visits(bench: Bench, nodes: int) -> None:
    topology = bench.topology("dgx-h100", nodes)
    tokens = _tokens(experts=128, experts_per_token=8)
    sent = leaving(topology, bytes_on_links(topology, tokens, 64 * MIB))
    expected = len(topology.gpus) * (nodes - 1) * tokens.part(8, of=8 * nodes) * 64 * MIB
    assert sent == pytest.approx(expected, rel=1e-9)
    every_copy = leaving(topology, bytes_on_links(topology, "auto", 64 * MIB))
    assert sent <= every_copy


def test_inside_a_node_a_token_goes_to_each_gpu_once(bench: Bench) -> None:
    topology = bench.topology("dgx-h100", 2)
    tokens = _tokens(experts=128, experts_per_token=8)
    used = bytes_on_links(topology, tokens, 64 * MIB)
    kinds, ends, gpus = topology.link_kind, topology.link_ends, set(topology.gpus)
    into = sum(
        size
        for kind, (_, target), size in zip(kinds, ends, used.values(), strict=True)
        if kind == "nvlink" and target in gpus
    )
    inside = 16 * 2 * 7 * tokens.part(1, of=16) * 64 * MIB
    assert into == pytest.approx(inside, rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7)), min_size=2, max_size=9, unique=True),
    per_token=st.integers(1, 4),
)
def test_every_rank_gets_what_every_other_has_for_it(
    bench: Bench, places: list[tuple[int, int]], per_token: int
) -> None:
    topology = bench.topology("dgx-h100", 3)
    nodes = list(topology.gpus_by_node.values())
    group = Group(topology, [nodes[node][place] for node, place in places])
    for plan in _tokens(experts=64, experts_per_token=per_token).plans(group):
        check_plan(plan, Kind("all_to_all"), group)


def test_messages_one_by_one_put_the_same_bytes_on_the_links(bench: Bench) -> None:
    topology = bench.topology("dgx-h100", 2)
    tokens = _tokens(experts=32, experts_per_token=4)
    found = []
    for fidelity in ("macro", "stepwise"):
        world = World(topology)
        communicator = Communicator(
            world, topology.gpus, owner="a", algorithm=tokens, fidelity=fidelity, chunks=4
        )
        record = world.env.run(until=communicator.all_to_all(256 * MIB))
        found.append((world.fabric.usage().bytes, record.end_s))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-9)
    assert found[0][1] == pytest.approx(found[1][1], rel=0.25)
