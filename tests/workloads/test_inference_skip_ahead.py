"""Runs in closed form give the same answers as steps one by one, and as a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_reference import LinearTimer, PlainReplica
from inference_world import serve

from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.replica.skip_ahead import run_seconds, steps_until
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler
from clustersim.workloads.inference.scheduling.prefill_first import PrefillFirstScheduler

seconds = st.floats(1e-6, 1.0)
growth = st.floats(0.0, 1e-3)


@given(first_s=seconds, growth_s=growth, steps=st.integers(1, 3000))
def test_the_closed_form_is_the_sum_of_the_steps(first_s, growth_s, steps):
    added = sum(first_s + growth_s * i for i in range(steps))
    assert run_seconds(steps, first_s=first_s, growth_s=growth_s) == pytest.approx(added, rel=1e-12)


@given(first_s=seconds, growth_s=growth, steps=st.integers(1, 10**6), part=st.floats(1e-3, 1.0))
def test_an_arrival_lands_on_the_first_step_boundary_at_or_after_it(first_s, growth_s, steps, part):
    def boundary(k):
        return run_seconds(k, first_s=first_s, growth_s=growth_s)

    elapsed = boundary(steps - 1) + part * (boundary(steps) - boundary(steps - 1))
    found = steps_until(elapsed, first_s=first_s, growth_s=growth_s)
    assert boundary(found) >= elapsed
    assert found == 1 or boundary(found - 1) < elapsed


def test_a_boundary_itself_belongs_to_the_step_that_ends_there():
    assert [steps_until(0.5 * k, first_s=0.5, growth_s=0.0) for k in (1, 2, 7)] == [1, 2, 7]


@st.composite
def loads(draw):
    """Requests with random gaps, on a KV cache that is sometimes too small for all of them."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count = draw(st.integers(1, 25))
    longest = draw(st.sampled_from([4, 30, 120]))
    arrival = np.cumsum(rng.exponential(draw(st.sampled_from([0.002, 0.05, 0.4])), count))
    prompt, output = rng.integers(1, longest + 1, (2, count))
    return list(zip(arrival.tolist(), prompt.tolist(), output.tolist(), strict=True))


@st.composite
def replicas(draw):
    """Limits of a replica; every request of `loads` fits alone."""
    block_tokens = draw(st.sampled_from([1, 4, 16]))
    blocks = -(-240 // block_tokens) + draw(st.integers(1, 60))
    return {
        "blocks": blocks,
        "block_tokens": block_tokens,
        "watermark": draw(st.sampled_from([0.0, 0.5 / blocks, 1.0 / blocks])),
        "max_batch": draw(st.sampled_from([1, 3, 64])),
    }


def scheduler(limits, *, chunked, max_batched_tokens):
    cache = KvCache(limits["blocks"], block_tokens=limits["block_tokens"], watermark=limits["watermark"])
    if chunked:
        return ChunkedPrefillScheduler(cache, max_batch=limits["max_batch"], token_budget=chunked)
    return PrefillFirstScheduler(cache, max_batch=limits["max_batch"], max_batched_tokens=max_batched_tokens)


def compare(requests, limits, *, chunked=None, max_batched_tokens=1 << 30):
    timer = LinearTimer()
    skipping, stepping = (
        serve(
            requests,
            scheduler(limits, chunked=chunked, max_batched_tokens=max_batched_tokens),
            timer,
            skip_ahead=skip,
        )
        for skip in (True, False)
    )
    policy, tokens = ("sarathi", chunked) if chunked else ("vllm", max_batched_tokens)
    plain = PlainReplica(timer, policy=policy, tokens=tokens, **limits)
    jobs = plain.serve(requests)
    assert sum(skipping.log.column("steps")) == sum(stepping.log.column("steps")) == plain.steps
    for request, other, job in zip(skipping.requests, stepping.requests, jobs, strict=True):
        assert request.preemptions == other.preemptions == job.preemptions
        for name in ("first_token_s", "finish_s"):
            assert getattr(request, name) == pytest.approx(getattr(other, name), rel=1e-9)
            assert getattr(request, name) == pytest.approx(getattr(job, name), rel=1e-9)
    return skipping, plain


@settings(max_examples=120, deadline=None)
@given(requests=loads(), limits=replicas(), tokens=st.sampled_from([1, 60, 1000]))
def test_whole_prompts_give_the_plain_loop_with_and_without_skipping(requests, limits, tokens):
    compare(requests, limits, max_batched_tokens=tokens)


@settings(max_examples=120, deadline=None)
@given(requests=loads(), limits=replicas(), budget=st.sampled_from([1, 7, 64]))
def test_chunked_prefill_gives_the_plain_loop_with_and_without_skipping(requests, limits, budget):
    compare(requests, limits, chunked=budget)


@settings(max_examples=60, deadline=None)
@given(requests=loads(), limits=replicas(), budget=st.sampled_from([None, 7, 64]))
def test_every_request_finishes_once_and_all_blocks_come_back(requests, limits, budget):
    served = serve(requests, scheduler(limits, chunked=budget, max_batched_tokens=200), LinearTimer())
    assert served.finishes == {request.index: 1 for request in served.requests}
    assert served.scheduler.cache.used_blocks == 0
    assert served.scheduler.running == 0
    assert served.scheduler.decoding.context_sum == 0
    recomputed = sum(request.preemptions for request in served.requests) > 0
    tokens = sum(prompt + output - 1 for _, prompt, output in requests)
    assert (
        sum(served.log.column("tokens")) > tokens
        if recomputed
        else sum(served.log.column("tokens")) == tokens
    )


def test_preemption_happens_in_these_tests_and_is_exact():
    requests = [(0.0, 40, 100), (0.013, 40, 100), (0.021, 40, 100)]
    limits = {"blocks": 20, "block_tokens": 16, "watermark": 0.0, "max_batch": 8}
    for chunked in (None, 32):
        skipping, _ = compare(requests, limits, chunked=chunked)
        assert skipping.requests[0].preemptions == 0
        assert sum(request.preemptions for request in skipping.requests) >= 1
        assert len(skipping.log) < 40 < sum(skipping.log.column("steps"))


def test_blocks_are_never_overcommitted():
    rng = np.random.default_rng(5)
    requests = [(0.001 * i, int(p), int(o)) for i, (p, o) in enumerate(rng.integers(1, 90, (60, 2)))]
    limits = {"blocks": 40, "block_tokens": 8, "watermark": 0.02, "max_batch": 32}
    for skip in (True, False):
        served = serve(
            requests, scheduler(limits, chunked=None, max_batched_tokens=128), LinearTimer(), skip_ahead=skip
        )
        assert max(served.log.column("kv_end_blocks")) <= limits["blocks"]
