"""Speculative decoding: tokens per step by the closed form, steps by their parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.serving.engine_host import EngineHost
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.speculative_timer import SpeculativeTimer, expected_tokens
from clustersim.cost.serving.timer import RooflineTimer
from clustersim.workloads.inference.cache.kv_cache import KvCache, blocks_for
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.speculation import SpeculativeBatch, accepted

STEP = {"decodes": 8, "context_sum": 8000, "chunks": (), "sampled": 40}


@pytest.mark.parametrize(("acceptance", "guesses"), [(0.6, 1), (0.8, 4), (0.9, 8), (0.3, 5)])
def test_accepted_guesses_are_geometric_and_their_mean_is_the_closed_form(acceptance, guesses):
    drawn = [
        accepted(7, request, position, acceptance=acceptance, guesses=guesses)
        for request in range(200)
        for position in range(100)
    ]
    assert min(drawn) == 0
    assert max(drawn) == guesses
    assert 1 + np.mean(drawn) == pytest.approx(expected_tokens(acceptance, guesses), rel=0.01)
    for n in range(guesses):
        assert np.mean(np.array(drawn) >= n + 1) == pytest.approx(acceptance ** (n + 1), abs=0.012)


def test_nothing_is_accepted_without_a_chance_and_draws_depend_on_the_text_alone():
    assert accepted(1, 2, 3, acceptance=0.0, guesses=5) == 0
    one = [accepted(1, 5, position, acceptance=0.7, guesses=4) for position in range(50)]
    assert one == [accepted(1, 5, position, acceptance=0.7, guesses=4) for position in range(50)]
    assert one != [accepted(2, 5, position, acceptance=0.7, guesses=4) for position in range(50)]
    assert one != [accepted(1, 6, position, acceptance=0.7, guesses=4) for position in range(50)]


def joined(lengths, *, guesses=4, acceptance=0.7, block_tokens=16):
    batch = SpeculativeBatch(block_tokens, guesses=guesses, acceptance=acceptance, seed=3)
    requests = []
    for index, (prompt, output) in enumerate(lengths):
        request = Request(index, 0.0, prompt, output)
        request.pending, request.generated = prompt, 1
        request.blocks = blocks_for(prompt, block_tokens)
        requests.append(request)
        batch.join(request)
    return batch, requests


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 60), st.integers(2, 60)), min_size=1, max_size=8),
    guesses=st.integers(1, 6),
    acceptance=st.floats(0.0, 0.95),
)
def test_every_request_gets_its_tokens_and_its_blocks_are_the_ones_it_took(lengths, guesses, acceptance):
    batch, requests = joined(lengths, guesses=guesses, acceptance=acceptance)
    cache = KvCache(1000, block_tokens=16, watermark=0.0)
    for request in requests:
        cache.grow(request.blocks)
    finished = []
    while len(batch):
        assert batch.context_sum == sum(progress.cached + 1 for progress in batch._running.values())
        cache.grow(batch.blocks_needed(1))
        done = batch.advance(1)
        finished += done
        for request in done:
            assert request.generated == request.output
            assert request.pending == request.prompt + request.output - 1
            assert blocks_for(request.pending, 16) <= request.blocks
            cache.release(request, finished=True)
    assert len(finished) == len(requests)
    assert cache.used_blocks == 0
    assert batch.context_sum == 0


def test_many_steps_bring_what_the_closed_form_says():
    batch, requests = joined([(10, 5001)] * 20, guesses=4, acceptance=0.7)
    for _ in range(400):
        batch.advance(1)
    for request in requests:
        batch.remove(request)
    mean = np.mean([request.generated - 1 for request in requests]) / 400
    assert mean == pytest.approx(expected_tokens(0.7, 4), rel=0.02)


def test_a_preempted_request_goes_on_where_it_was():
    batch, (request,) = joined([(10, 100)])
    for _ in range(5):
        batch.advance(1)
    progress = batch._running[request]
    there = progress.cached, progress.generated
    batch.remove(request)
    assert (request.pending, request.generated) == there
    assert len(batch) == 0


@pytest.fixture(scope="module")
def target():
    return catalog.model("llama-3.1-70b"), catalog.accelerator("h100-sxm5-80gb")


def test_a_step_checks_all_guesses_at_once_after_the_draft_made_them_one_by_one(target):
    draft = ServingCost(catalog.model("llama-3.2-1b"), target[1])
    cost = ServingCost(*target, tensor=4, draft=draft)
    timer = SpeculativeTimer(cost, host=EngineHost(), guesses=4)
    check = RooflineTimer(cost, queries=5).step(**STEP).seconds
    guess = RooflineTimer(draft).step(decodes=8, context_sum=8000, chunks=(), sampled=8).seconds
    assert timer.step(**STEP).seconds == pytest.approx(check + 4 * guess, rel=1e-9)
    assert timer.decode_run(decodes=8, context_sum=8000).steps == 1


def test_checking_five_tokens_is_far_cheaper_than_five_steps(target):
    cost = ServingCost(*target, tensor=4)
    one = RooflineTimer(cost).step(decodes=8, context_sum=8000, chunks=(), sampled=8).seconds
    five = SpeculativeTimer(cost, host=EngineHost(), guesses=4).step(**STEP).seconds
    assert one < five < 1.3 * one


def test_the_draft_takes_memory_on_every_gpu_for_weights_and_cache(target):
    draft = ServingCost(catalog.model("llama-3.2-1b"), target[1])
    plain, drafted = (ServingCost(*target, tensor=4, draft=given) for given in (None, draft))
    assert drafted.weight_bytes - plain.weight_bytes == draft.weight_bytes
    assert drafted.kv_bytes_per_token - plain.kv_bytes_per_token == draft.kv_bytes_per_token
