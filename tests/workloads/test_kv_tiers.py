"""Tiers below GPU memory: what is copied down and when, what is found, what goes first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.workloads.inference.cache.fetch import HBM, Move
from clustersim.workloads.inference.cache.lower_tiers import LowerTiers
from clustersim.workloads.inference.cache.prefix_cache import PrefixCache
from clustersim.workloads.inference.cache.tier import StoredTier
from clustersim.workloads.inference.requests import Request


def a_cache(blocks, *capacities, write="through", kinds=("host", "nvme", "remote"), tiers=None):
    tiers = tiers or [
        StoredTier(kind, capacity_blocks=capacity, shared=kind == "remote")
        for kind, capacity in zip(kinds, capacities, strict=False)
    ]
    below = LowerTiers(tiers, write=write)
    cache = PrefixCache(blocks, block_tokens=2, watermark=0.0, below=below)
    moves: list[Move] = []
    below.on_moves = moves.extend
    return cache, moves


def serve(cache, index, ids, *, tokens=None):
    """Run a request from admission to its end; return the tokens found above, and what it waited for."""
    request = Request(index, 0.0, tokens or 4 * len(ids) + 1, 1, hashes=ids, hash_tokens=4)
    request.pending = request.prompt
    found = cache.admit(request)
    fetch = cache.fetch(request)
    if fetch is not None:
        request.prefilled = fetch.tokens
        cache.computed(request)
    request.prefilled, request.generated = request.pending, 1
    cache.computed(request)
    cache.release(request, finished=True)
    return found, fetch


def test_written_through_blocks_go_down_once_when_they_are_computed() -> None:
    cache, moves = a_cache(20, 100)
    serve(cache, 0, (1, 2))
    serve(cache, 1, (1, 2, 3))
    assert moves == [Move(HBM, 0, 4), Move(HBM, 0, 2)]


def test_written_back_blocks_go_down_when_they_are_evicted() -> None:
    cache, moves = a_cache(6, 100, write="back")
    serve(cache, 0, (1, 2))
    assert not moves
    serve(cache, 1, (5, 6))
    assert moves == [Move(HBM, 0, 4)]


def test_what_the_tier_has_already_is_not_written_back_again() -> None:
    cache, moves = a_cache(6, 100, write="back")
    for index, first in enumerate((1, 5, 1, 5, 1)):
        serve(cache, index, (first, first + 1))
    assert moves == [Move(HBM, 0, 4), Move(HBM, 0, 4)]


@pytest.mark.parametrize("write", ["through", "back"])
def test_what_was_evicted_is_fetched(write) -> None:
    cache, _ = a_cache(6, 100, write=write)
    serve(cache, 0, (1, 2))
    serve(cache, 1, (5, 6))
    found, fetch = serve(cache, 2, (1, 2))
    assert found == 0
    assert fetch == (8, (Move(0, HBM, 4),))
    assert cache.counts.fetched_tokens == 8


def test_what_is_above_is_not_fetched_and_what_follows_it_is() -> None:
    cache, _ = a_cache(7, 100)
    serve(cache, 0, (1, 2))
    serve(cache, 1, (5, 6))
    serve(cache, 2, (1,))
    found, fetch = serve(cache, 3, (1, 2))
    assert found == 4
    assert fetch == (8, (Move(0, HBM, 2),))


def test_a_host_that_overflows_passes_on_to_the_drive_and_this_to_the_store() -> None:
    cache, moves = a_cache(6, 4, 4, 100, write="back")
    for index in range(4):
        serve(cache, index, (10 * index + 1, 10 * index + 2))
    assert [tier.used_blocks for tier in cache.below.tiers] == [4, 4, 4]
    assert {(move.source, move.target) for move in moves} == {(HBM, 0), (0, 1), (1, 2)}
    for index, tier in ((0, 2), (1, 1), (2, 0)):
        request = Request(9 + index, 0.0, 9, 1, hashes=(10 * index + 1, 10 * index + 2), hash_tokens=4)
        assert cache.below.find([(one, 2) for one in request.hashes]) == [tier, tier]


def test_through_every_tier_gets_its_copy_by_way_of_the_host() -> None:
    cache, moves = a_cache(20, 100, 100, 100)
    serve(cache, 0, (1, 2))
    assert set(moves) == {Move(HBM, 0, 4), Move(0, 1, 4), Move(0, 2, 4)}


def test_without_a_host_tier_the_store_is_filled_by_the_gpus() -> None:
    cache, moves = a_cache(20, 100, kinds=("remote",))
    serve(cache, 0, (1, 2))
    assert moves == [Move(HBM, 0, 4)]


def test_replicas_find_each_others_blocks_in_a_shared_store_only() -> None:
    store = StoredTier("remote", capacity_blocks=100, shared=True)
    first, second = (a_cache(20, tiers=[StoredTier("host", capacity_blocks=100), store])[0] for _ in range(2))
    serve(first, 0, (1, 2))
    assert serve(second, 1, (1, 2)) == (0, (8, (Move(1, HBM, 4),)))
    looking = Request(2, 0.0, 9, 1, hashes=(7, 8), hash_tokens=4)
    serve(first, 3, (7, 8))
    assert (first.cached_tokens(looking), second.cached_tokens(looking)) == (8, 8)


def test_a_failure_loses_the_hosts_memory_and_keeps_drive_and_store() -> None:
    cache, _ = a_cache(20, 100, 100, 100)
    serve(cache, 0, (1, 2))
    cache.clear()
    assert [tier.used_blocks for tier in cache.below.tiers] == [0, 4, 4]


def test_a_tier_evicts_the_least_recently_used() -> None:
    tier = StoredTier("host", capacity_blocks=6)
    tier.store(1, 2)
    tier.store(2, 2)
    tier.store(3, 2)
    tier.touch(1)
    assert tier.store(4, 3) == [(2, 2), (3, 2)]
    assert (tier.used_blocks, tier.evicted_blocks, len(tier)) == (5, 4, 2)


def test_what_is_larger_than_a_tier_passes_it() -> None:
    tier = StoredTier("host", capacity_blocks=3)
    tier.store(1, 2)
    assert tier.store(2, 4) == [(2, 4)]
    assert tier.used_blocks == 2


@settings(max_examples=100, deadline=None)
@given(
    paths=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=40),
    capacities=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    write=st.sampled_from(["through", "back"]),
)
def test_no_tier_holds_more_than_its_capacity_and_what_is_fetched_was_written(
    paths, capacities, write
) -> None:
    """Nothing comes up that did not go down, and a prefix is found from its beginning."""
    cache, moves = a_cache(10, *capacities, write=write)
    names: dict[tuple[int, ...], int] = {}
    for index, path in enumerate(paths):
        ids = tuple(names.setdefault(tuple(path[: n + 1]), len(names)) for n in range(len(path)))
        found, fetch = serve(cache, index, ids)
        there = fetch.tokens if fetch else found
        assert found <= there <= 4 * len(ids)
        assert sum(move.blocks for move in (fetch.moves if fetch else ())) == (there - found) // 2
        for tier in cache.below.tiers:
            assert 0 <= tier.used_blocks <= tier.capacity_blocks
        assert cache.used_blocks == 0
    written = [sum(move.blocks for move in moves if move.target == tier) for tier in range(2)]
    assert written == cache.below.written_blocks[:2]
    for number, tier in enumerate(cache.below.tiers[:2]):
        assert tier.used_blocks + tier.evicted_blocks == written[number]


@settings(max_examples=60, deadline=None)
@given(
    paths=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=3), min_size=1, max_size=30),
    capacity=st.integers(8, 40),
)
def test_a_large_tier_makes_the_hits_those_of_one_large_cache(paths, capacity) -> None:
    """What is found above or below together is what a cache of endless memory finds."""
    small, _ = a_cache(8, 1000)
    endless = PrefixCache(1000, block_tokens=2, watermark=0.0)
    names: dict[tuple[int, ...], int] = {}
    for index, path in enumerate(paths):
        ids = tuple(names.setdefault(tuple(path[: n + 1]), len(names)) for n in range(len(path)))
        found, fetch = serve(small, index, ids)
        assert (fetch.tokens if fetch else found) == serve(endless, index, ids)[0]
