"""Every scheduling policy gives what a plain loop over requests gives, with and without skipping ahead."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_reference import LinearTimer, PlainReplica
from inference_world import PlainMover, serve
from test_inference_skip_ahead import loads, replicas

from clustersim.errors import CannotRunError
from clustersim.spec.scheduler import SchedulerSpec
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler
from clustersim.workloads.inference.scheduling.make import make_scheduler
from clustersim.workloads.inference.scheduling.order import ShortestJobFirst
from clustersim.workloads.inference.scheduling.prefill_first import PrefillFirstScheduler
from clustersim.workloads.inference.scheduling.reserving import OrcaScheduler, StaticScheduler
from clustersim.workloads.inference.scheduling.swap_space import SwapSpace
from clustersim.workloads.inference.scheduling.unified import UnifiedScheduler

LONGEST = 240
SWAP_S = 0.003


def fast(policy, limits, *, tokens, long_prefill=None, swap_blocks=0, ranked=False):
    """Make the scheduler under test."""
    cache = KvCache(limits["blocks"], block_tokens=limits["block_tokens"], watermark=limits["watermark"])
    options = {"max_batch": limits["max_batch"]}
    if ranked:
        options["queue"] = ShortestJobFirst()
    if swap_blocks:
        options["swap"] = SwapSpace(swap_blocks)
    if policy == "vllm":
        return PrefillFirstScheduler(cache, max_batched_tokens=tokens, **options)
    if policy == "sarathi":
        return ChunkedPrefillScheduler(cache, token_budget=tokens, **options)
    if policy == "vllm-v1":
        return UnifiedScheduler(cache, token_budget=tokens, long_prefill=long_prefill, **options)
    kind = OrcaScheduler if policy == "orca" else StaticScheduler
    return kind(cache, max_batched_tokens=tokens, reserved_tokens=LONGEST, **options)


def check(policy, requests, limits, **settings):
    """Compare the engine, skipping and stepping, with the plain loop; return what was served."""
    timer = LinearTimer()
    served = [
        serve(
            requests,
            fast(policy, limits, **settings),
            timer,
            skip_ahead=skip,
            mover=partial(PlainMover, swap_s=SWAP_S),
        )
        for skip in (True, False)
    ]
    plain = PlainReplica(
        timer,
        policy=policy,
        tokens=settings["tokens"],
        long_prefill=settings.get("long_prefill") or 1 << 30,
        reserved=LONGEST,
        swap_blocks=settings.get("swap_blocks", 0),
        swap_s=SWAP_S,
        rank=(lambda job: (job.output, job.arrival_s, job.index)) if settings.get("ranked") else None,
        **limits,
    )
    jobs = plain.serve(requests)
    for run in served:
        for request, job in zip(run.requests, jobs, strict=True):
            assert request.preemptions == job.preemptions
            assert request.first_token_s == pytest.approx(job.first_token_s, rel=1e-9)
            assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)
        assert run.scheduler.running == 0
        assert run.finishes == {request.index: 1 for request in run.requests}
    return served[0]


@settings(max_examples=40, deadline=None)
@given(requests=loads(), limits=replicas(), ranked=st.booleans(), tokens=st.sampled_from([3, 40, 1000]))
@pytest.mark.parametrize("policy", ["vllm", "sarathi", "orca", "static"])
def test_the_policy_is_the_plain_loop(policy, requests, limits, ranked, tokens):
    check(policy, requests, limits, tokens=tokens, ranked=ranked)


@settings(max_examples=80, deadline=None)
@given(
    requests=loads(),
    limits=replicas(),
    ranked=st.booleans(),
    tokens=st.sampled_from([2, 9, 64, 1000]),
    long_prefill=st.sampled_from([None, 4, 20]),
)
def test_the_unified_scheduler_is_the_plain_loop(requests, limits, ranked, tokens, long_prefill):
    check("vllm-v1", requests, limits, tokens=tokens, long_prefill=long_prefill, ranked=ranked)


@settings(max_examples=40, deadline=None)
@given(requests=loads(), limits=replicas(), tokens=st.sampled_from([9, 300]), swap_blocks=st.integers(1, 60))
@pytest.mark.parametrize("policy", ["vllm", "sarathi"])
def test_swapping_is_the_plain_loop(policy, requests, limits, tokens, swap_blocks):
    check(policy, requests, limits, tokens=tokens, swap_blocks=swap_blocks)


def crowd(count=40, *, seed=3):
    """Requests that come faster than they can be served, on too few blocks."""
    rng = np.random.default_rng(seed)
    return [(0.004 * i, int(p), int(o)) for i, (p, o) in enumerate(rng.integers(10, 110, (count, 2)))]


@pytest.mark.parametrize("policy", ["vllm", "sarathi", "vllm-v1"])
def test_preemptions_happen_in_these_tests(policy):
    limits = {"blocks": 40, "block_tokens": 8, "watermark": 0.0, "max_batch": 64}
    served = check(policy, crowd(), limits, tokens=128)
    assert sum(request.preemptions for request in served.requests) > 10
    assert len(served.log) < sum(served.log.column("steps"))


@pytest.mark.parametrize("policy", ["vllm", "sarathi"])
def test_swapped_requests_are_not_computed_again(policy):
    limits = {"blocks": 40, "block_tokens": 8, "watermark": 0.0, "max_batch": 64}
    served = check(policy, crowd(), limits, tokens=128, swap_blocks=1000)
    decodes = sum(
        steps * decodes
        for steps, decodes in zip(served.log.column("steps"), served.log.column("decodes"), strict=True)
    )
    assert sum(request.preemptions for request in served.requests) > 10
    assert decodes == sum(request.output - 1 for request in served.requests)


def test_a_static_batch_ends_with_its_longest_answer():
    requests = [(0.0, 10, 5), (0.0, 10, 50), (0.001, 10, 5)]
    limits = {"blocks": 200, "block_tokens": 8, "watermark": 0.0, "max_batch": 64}
    served = check("static", requests, limits, tokens=1000)
    first, longest, late = served.requests
    assert first.finish_s < longest.finish_s == pytest.approx(late.admitted_s)


def test_orca_lets_a_new_request_in_at_the_next_step():
    requests = [(0.0, 10, 50), (0.001, 10, 5)]
    limits = {"blocks": 200, "block_tokens": 8, "watermark": 0.0, "max_batch": 64}
    served = check("orca", requests, limits, tokens=1000)
    assert served.requests[1].admitted_s == pytest.approx(served.log.column("end_s")[0])


@pytest.mark.parametrize("policy", ["static", "orca"])
@pytest.mark.parametrize("reserved", [100, 100_000])
def test_a_reservation_that_cannot_work_is_refused(policy, reserved):
    spec = SchedulerSpec(policy=policy, reserved_tokens=reserved)
    with pytest.raises(CannotRunError, match="reserves"):
        make_scheduler(spec, KvCache(100, block_tokens=16, watermark=0.0), longest_tokens=200)


@pytest.mark.parametrize("policy", ["static", "orca", "vllm", "vllm-v1", "sarathi"])
@pytest.mark.parametrize("order", ["fcfs", "priority", "shortest-job", "fair", "longest-prefix"])
def test_every_policy_of_a_scenario_works_in_every_order(policy, order):
    spec = SchedulerSpec(policy=policy, order=order, max_batch=8)
    scheduler = make_scheduler(spec, KvCache(60, block_tokens=8, watermark=0.0), longest_tokens=220)
    served = serve(crowd(), scheduler, LinearTimer())
    assert served.finishes == {request.index: 1 for request in served.requests}


def test_fields_of_another_policy_are_refused():
    with pytest.raises(ValueError, match="only for policy vllm-v1"):
        SchedulerSpec(policy="sarathi", long_prefill=64)
    with pytest.raises(ValueError, match="does not swap"):
        SchedulerSpec(policy="orca", preemption="swap")
