"""Prefix caching: what is found, what is kept, what goes, against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefix_tree import PrefixTree

from clustersim.workloads.inference.cache import usage
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.cache.prefix_cache import PrefixCache
from clustersim.workloads.inference.cache.segments import segments_of
from clustersim.workloads.inference.requests import Request


def a_request(index, prompt, hashes, *, output=1, hash_tokens=4):
    return Request(index, 0.0, prompt, output, hashes=hashes, hash_tokens=hash_tokens, pending=prompt)


def a_cache(blocks=100, *, block_tokens=2):
    return PrefixCache(blocks, block_tokens=block_tokens, watermark=0.0)


def serve(cache, request):
    """Run a request from admission to its end; return the tokens that it found."""
    found = cache.admit(request)
    request.prefilled = request.pending
    cache.computed(request)
    request.generated = request.output
    grown = -(-(request.prompt + request.output - 1) // cache.block_tokens) - request.blocks
    cache.grow(grown)
    request.blocks += grown
    cache.release(request, finished=True)
    return found


def test_a_prompt_that_begins_alike_finds_what_is_common() -> None:
    cache = a_cache()
    assert serve(cache, a_request(0, 12, (1, 2, 3))) == 0
    assert serve(cache, a_request(1, 13, (1, 2, 9, 10))) == 8
    assert serve(cache, a_request(2, 12, (7, 2, 3))) == 0


def test_the_last_token_is_always_computed() -> None:
    cache = a_cache()
    serve(cache, a_request(0, 8, (1, 2)))
    assert serve(cache, a_request(1, 8, (1, 2))) == 6
    assert cache.counts.found_tokens == 6


def test_prompts_without_ids_share_nothing_and_leave_nothing() -> None:
    cache = a_cache()
    serve(cache, a_request(0, 9, None))
    assert serve(cache, a_request(1, 9, None)) == 0
    assert (cache.used_blocks, cache.idle_blocks) == (0, 0)


def test_a_running_request_shares_what_it_has_computed_and_no_more() -> None:
    cache = a_cache()
    first, second = a_request(0, 12, (1, 2, 3)), a_request(1, 12, (1, 2, 3))
    cache.admit(first)
    first.prefilled = 9
    cache.computed(first)
    assert cache.cached_tokens(second) == 8
    assert cache.admit(second) == 8
    assert cache.used_blocks == 6 + 2


def test_what_two_requests_computed_at_once_is_kept_once() -> None:
    cache = a_cache()
    both = [a_request(index, 8, (1, 2)) for index in range(2)]
    for request in both:
        assert cache.admit(request) == 0
    assert cache.used_blocks == 8
    for request in both:
        request.prefilled = 8
        cache.computed(request)
    assert cache.used_blocks == 4


def test_ids_that_go_on_into_the_answer_are_found_by_the_next_turn() -> None:
    cache = a_cache()
    turn = a_request(0, 8, (1, 2, 3, 4), output=9)
    assert serve(cache, turn) == 0
    assert serve(cache, a_request(1, 20, (1, 2, 3, 4, 5))) == 16


def test_the_last_generated_token_has_no_kv() -> None:
    cache = a_cache()
    serve(cache, a_request(0, 8, (1, 2, 3), output=4))
    assert serve(cache, a_request(1, 20, (1, 2, 3, 4, 5))) == 8


def test_a_preempted_request_finds_its_own_blocks() -> None:
    cache = a_cache()
    request = a_request(0, 12, (1, 2, 3), output=50)
    cache.admit(request)
    request.prefilled = 12
    request.generated = 1
    cache.release(request, finished=False)
    request.pending, request.prefilled, request.preemptions = 13, 0, 1
    assert cache.admit(request) == 12
    assert request.cached == 0


def test_the_least_recently_used_goes_first_and_a_child_before_its_parent() -> None:
    cache = a_cache(blocks=8)
    serve(cache, a_request(0, 8, (1, 2)))
    serve(cache, a_request(1, 8, (5, 6)))
    serve(cache, a_request(2, 4, (1,)))
    serve(cache, a_request(3, 4, (9,)))
    kept = [cache.cached_tokens(a_request(index, 9, (first, first + 1))) for index, first in ((4, 1), (5, 5))]
    assert kept == [4, 8]


def test_a_segment_of_blocks_that_straddle_ids_ends_where_its_last_block_does() -> None:
    request = Request(0, 0.0, 30, 1, hashes=(1, 2, 3, 4, 5), hash_tokens=6)
    assert segments_of(request, 4) == [(1, 1), (2, 2), (3, 1), (4, 2), (5, 1)]
    assert segments_of(request, 10) == [(2, 1), (4, 1), (5, 1)]


def test_an_id_that_is_not_filled_names_nothing() -> None:
    assert segments_of(Request(0, 0.0, 9, 2, hashes=(1, 2, 3), hash_tokens=4), 2) == [(1, 2), (2, 2)]
    assert segments_of(Request(0, 0.0, 9, 3, hashes=(1, 2, 3), hash_tokens=4), 2) == [(1, 2), (2, 2), (3, 2)]


def test_looking_takes_nothing() -> None:
    cache = a_cache(blocks=8)
    serve(cache, a_request(0, 8, (1, 2)))
    before = (cache.used_blocks, cache.idle_blocks, cache.counts.found_tokens)
    assert cache.cached_tokens(a_request(1, 9, (1, 2, 3))) == 8
    assert cache.admits(a_request(1, 9, (1, 2, 3)))
    assert (cache.used_blocks, cache.idle_blocks, cache.counts.found_tokens) == before


def test_idle_blocks_count_as_free_and_admission_leaves_the_watermark() -> None:
    cache = PrefixCache(10, block_tokens=2, watermark=0.2)
    serve(cache, a_request(0, 16, (1, 2, 3, 4)))
    assert (cache.idle_blocks, cache.free_blocks) == (8, 10)
    assert cache.admits(a_request(1, 16, (6, 7, 8, 9)))
    assert not cache.admits(a_request(2, 17, (6, 7, 8, 9)))
    assert cache.admits(a_request(3, 16, (1, 2, 3, 4)))


def test_a_failure_forgets_everything() -> None:
    cache = a_cache()
    serve(cache, a_request(0, 8, (1, 2)))
    cache.admit(a_request(1, 8, (1, 2)))
    cache.clear()
    assert (cache.used_blocks, cache.idle_blocks) == (0, 0)
    assert serve(cache, a_request(1, 8, (1, 2))) == 0


def test_without_sharing_it_counts_blocks_as_the_plain_cache_does() -> None:
    plain, prefix = KvCache(50, block_tokens=4, watermark=0.1), PrefixCache(50, block_tokens=4, watermark=0.1)
    for index, prompt in enumerate((7, 8, 90, 80, 33)):
        pair = [(cache, a_request(index, prompt, None)) for cache in (plain, prefix)]
        admitted = [cache.admits(request) and cache.admit(request) == 0 for cache, request in pair]
        assert admitted[0] == admitted[1]
        assert plain.used_blocks == prefix.used_blocks


SHAPES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 2), min_size=0, max_size=5),
        st.integers(0, 5),
        st.integers(1, 9),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(
    shapes=SHAPES,
    blocks=st.integers(14, 60),
    sizes=st.sampled_from([(2, 4), (4, 4), (3, 4), (4, 3), (4, 6)]),
    data=st.data(),
)
def test_it_finds_and_evicts_as_the_slow_twin(shapes, blocks, sizes, data) -> None:
    """Requests come, are computed in chunks, decode, are preempted and finish in any order."""
    block_tokens, hash_tokens = sizes
    cache = PrefixCache(blocks, block_tokens=block_tokens, watermark=0.0)
    twin = PrefixTree(blocks, block_tokens=block_tokens, watermark_blocks=0)
    names: dict[tuple[int, ...], int] = {}
    running: list[Request] = []
    for index, (path, extra, output, into_answer) in enumerate(shapes):
        prompt = max(1, len(path) * hash_tokens + extra)
        known = path + ([7, 8] if into_answer else [])
        ids = tuple(names.setdefault(tuple(known[: n + 1]), len(names)) for n in range(len(known)))
        count = (prompt + output) // hash_tokens if into_answer else prompt // hash_tokens
        request = a_request(index, prompt, ids[:count] or None, output=output, hash_tokens=hash_tokens)
        segments = segments_of(request, block_tokens)
        assert cache.admits(request) == twin.admits(request.pending, segments)
        if cache.admits(request):
            request.prefilled = cache.admit(request)
            assert request.prefilled == twin.admit(index, request.pending, segments)
            running.append(request)
        for request in list(running):
            step(cache, twin, request, running, data)
        same(cache, twin)
    for request in running:
        cache.release(request, finished=False)
        twin.release(request.index, computed_tokens(request), segments_of(request, block_tokens))
        same(cache, twin)
    assert cache.used_blocks == 0


def step(cache, twin, request, running, data) -> None:
    """Let one thing happen to a request, in both."""
    segments = segments_of(request, cache.block_tokens)
    what = data.draw(st.sampled_from(["wait", "compute", "decode", "leave"]))
    if what == "compute" and request.prefilled < request.pending:
        request.prefilled += data.draw(st.integers(1, request.pending - request.prefilled))
        request.generated += request.prefilled == request.pending
        cache.computed(request)
        twin.computed(request.index, request.prefilled, segments)
    elif what == "decode" and request.generated and request.generated < request.output:
        tokens = request.prompt + request.generated
        blocks = -(-tokens // cache.block_tokens) - request.blocks
        if blocks <= cache.free_blocks:
            request.generated += 1
            request.blocks += blocks
            cache.grow(blocks)
            twin.grow(request.index, blocks)
    elif what == "leave":
        twin.release(request.index, computed_tokens(request), segments)
        cache.release(request, finished=True)
        running.remove(request)


def computed_tokens(request) -> int:
    return request.prompt + request.generated - 1 if request.generated else request.prefilled


def same(cache, twin) -> None:
    assert (cache.used_blocks, cache.idle_blocks) == (twin.used_blocks, twin.idle_blocks)
    assert cache.counts.evicted_blocks == twin.evicted_blocks
    assert 0 <= cache.used_blocks + cache.idle_blocks <= cache.total_blocks


@pytest.mark.parametrize("turns", [1, 3])
def test_a_repeated_conversation_is_found_up_to_its_last_answer(turns) -> None:
    cache = a_cache(blocks=1000)
    for turn in range(turns):
        prompt = 8 * (turn + 1)
        request = a_request(turn, prompt, tuple(range(2 * turn + 4)), output=8)
        assert serve(cache, request) == (prompt - 4 if turn else 0)


def test_usage_is_sampled_as_requests_leave_and_thinned_evenly(monkeypatch) -> None:
    monkeypatch.setattr(usage, "_MOST_ROWS", 8)
    now = [0.0]
    cache = PrefixCache(100, block_tokens=2, watermark=0.0, clock=lambda: now[0])
    for index in range(40):
        now[0] = float(index + 1)
        serve(cache, a_request(index, 9, (1, 2)))
    table = usage.usage_table({3: cache})
    assert len(cache.usage) < 8
    assert np.diff(table["time_s"]).tolist() == [8.0] * (len(cache.usage) - 1)
    assert table["prompt_tokens"].tolist() == [9 * int(time) for time in table["time_s"]]
    assert table["found_tokens"][-1] == 8 * (int(table["time_s"][-1]) - 1)
    assert np.isnan(table["host_used_fraction"]).all()
    assert (table["gpu_held_fraction"][-1], table["gpu_idle_fraction"][-1]) == (0.0, 0.04)
    assert set(table["replica"]) == {3}


def test_hit_rates_count_from_the_end_of_the_warm_up() -> None:
    now = [0.0]
    cache = PrefixCache(100, block_tokens=2, watermark=0.0, clock=lambda: now[0])
    for index in range(4):
        now[0] = float(index)
        serve(cache, a_request(index, 10, (1, 2)))
    rates = [usage.cache_metrics({0: cache}, since_s=since_s) for since_s in (0.0, 1.0, 9.0)]
    assert [rate.get("cache_hit_rate.gpu") for rate in rates] == [pytest.approx(0.6), 0.8, None]
    assert rates[0]["cache_hit_rate.lower"] == 0.0
