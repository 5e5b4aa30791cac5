"""Who is admitted next: priorities, short answers, fair shares, cached prefixes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from inference_reference import LinearTimer
from inference_world import serve_requests

from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler
from clustersim.workloads.inference.scheduling.fair_share import FairShare
from clustersim.workloads.inference.scheduling.order import (
    FirstComeFirstServed,
    LongestPrefixFirst,
    PriorityFirst,
    ShortestJobFirst,
)


def request(index, *, arrival_s=None, **fields):
    made = Request(index, float(index) if arrival_s is None else arrival_s, 10, 5)
    for name, value in fields.items():
        setattr(made, name, value)
    made.pending = made.prompt
    return made


def emptied(queue):
    return [queue.pop().index for _ in range(len(queue))]


def filled(queue, requests):
    for each in requests:
        queue.push(each)
    return queue


def test_first_come_is_first_served_and_who_lost_its_blocks_stands_in_front():
    queue = filled(FirstComeFirstServed(), [request(1), request(2)])
    queue.put_back(request(0))
    assert emptied(queue) == [0, 1, 2]


def test_small_priorities_go_first_and_equal_ones_by_arrival():
    queue = filled(PriorityFirst(), [request(i, priority=p) for i, p in enumerate([1, 0, 1, 0])])
    assert emptied(queue) == [1, 3, 0, 2]


def test_short_answers_go_first():
    queue = filled(ShortestJobFirst(), [request(i, output=output) for i, output in enumerate([9, 2, 5])])
    assert emptied(queue) == [1, 2, 0]


def test_who_finds_most_of_its_prompt_goes_first_as_long_as_few_wait():
    found = {0: 0, 1: 64, 2: 64, 3: 16}
    queue = filled(LongestPrefixFirst(lambda each: found.get(each.index, 0)), map(request, range(4)))
    assert emptied(queue) == [1, 2, 3, 0]
    crowd = filled(LongestPrefixFirst(lambda each: found.get(each.index, 0)), map(request, range(129)))
    assert crowd.head().index == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), min_size=1, max_size=60))
def test_fair_share_serves_the_tenant_with_the_least_service(sent):
    queue = FairShare({0: 2.0})
    for index, (tenant, prompt) in enumerate(sent):
        queue.push(request(index, tenant=tenant, prompt=prompt))
    served = dict.fromkeys(range(4), 0.0)
    waiting = {tenant: [i for i, (owner, _) in enumerate(sent) if owner == tenant] for tenant in served}
    while len(queue):
        least = min(
            (tenant for tenant in served if waiting[tenant]), key=lambda tenant: (served[tenant], tenant)
        )
        taken = queue.pop()
        assert taken.index == waiting[least].pop(0)
        served[least] += taken.prompt / (2.0 if least == 0 else 1.0)


BLOCKS, BLOCK_TOKENS = 60, 8
MOST_APART = 2 * 2.0 * BLOCKS * BLOCK_TOKENS
"""Bound of the paper's theorem: twice the output weight times the tokens that fit in memory."""


def service(queue, *, count=400):
    """Weighted tokens that two tenants were served while both waited; the first sends longer prompts."""
    rng = np.random.default_rng(4)
    sent = []
    for index in range(count):
        tenant = index % 2
        prompt = int(rng.integers(60, 120) if tenant == 0 else rng.integers(5, 30))
        sent.append(Request(index, 0.0, prompt, int(rng.integers(5, 40)), tenant=tenant))
    cache = KvCache(BLOCKS, block_tokens=BLOCK_TOKENS, watermark=0.0)
    scheduler = ChunkedPrefillScheduler(cache, max_batch=8, token_budget=64, queue=queue)
    served = serve_requests(sent, [scheduler], LinearTimer())
    both_wait_until = min(max(each.admitted_s for each in sent if each.tenant == tenant) for tenant in (0, 1))
    tokens = [0.0, 0.0]
    for each in served.requests:
        if each.finish_s <= both_wait_until:
            tokens[each.tenant] += each.prompt + 2.0 * each.output
    return tokens


def test_two_backlogged_tenants_get_the_same_service_whatever_they_send():
    first, second = service(FairShare())
    assert abs(first - second) < MOST_APART < 0.2 * first
    first, second = service(FirstComeFirstServed())
    assert first - second > MOST_APART


def test_a_weight_of_three_gets_three_times_the_service():
    first, second = service(FairShare({0: 3.0}))
    assert abs(first / 3.0 - second) < MOST_APART
    assert first > 2.0 * second


def test_a_tenant_that_comes_back_has_saved_nothing():
    queue = FairShare()
    for index in range(6):
        queue.push(request(index, tenant=0, prompt=100))
    for _ in range(4):
        queue.pop()
    for index in range(6, 12):
        queue.push(request(index, tenant=1, prompt=100))
    assert [queue.pop().tenant for _ in range(4)] == [0, 1, 0, 1]


def test_fair_shares_skip_ahead_exactly():
    rng = np.random.default_rng(8)

    def run(skip):
        sent = [
            Request(i, 0.02 * i, int(p), int(o), tenant=i % 3)
            for i, (p, o) in enumerate(rng_lengths.tolist())
        ]
        cache = KvCache(80, block_tokens=8, watermark=0.0)
        scheduler = ChunkedPrefillScheduler(cache, max_batch=16, token_budget=64, queue=FairShare())
        served = serve_requests(sent, [scheduler], LinearTimer(), skip_ahead=skip)
        return [(each.first_token_s, each.finish_s) for each in served.requests]

    rng_lengths = rng.integers(5, 60, (60, 2))
    assert np.allclose(run(True), run(False), rtol=1e-9, atol=0.0)
