"""Multi-turn sessions: what each turn sends, and which blocks of it are shared."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
import simpy

from clustersim.spec.arrivals import SessionArrivals
from clustersim.workloads.inference.demand.desk import Desk
from clustersim.workloads.inference.demand.lengths import FixedLengths, TableLengths
from clustersim.workloads.inference.demand.sessions import SessionLoad, block_ids

SPEC = {
    "kind": "sessions",
    "starts": {"kind": "poisson", "rate": "1 req/s"},
    "turns": 4.0,
    "think_time": "5 s",
    "system_prompt": 100,
}


def talk(lengths, *, sessions=200, spacing_s=1.0, answer_s=2.0, duration_s=None, most=None, **fields):
    """Sessions at even times, each answer after a fixed time; return requests by session."""
    env = simpy.Environment()
    requests = defaultdict(list)
    hashes = {}

    def send(request):
        requests[request.session].append(request)
        hashes[request.index] = request.hashes
        env.timeout(answer_s).callbacks.append(lambda _: request.on_finish(request))

    load = SessionLoad(
        SessionArrivals.model_validate(SPEC | fields),
        start_s=spacing_s * np.arange(sessions),
        lengths=lengths,
        streams=lambda session: np.random.default_rng([session, 3]),
        hash_tokens=16,
        duration_s=duration_s,
    )
    env.process(load.run(env, Desk.open(send, most=most).of(2, priority=1)))
    env.run()
    return requests, hashes


def test_each_turn_sends_all_that_was_said_before():
    requests, _ = talk(TableLengths("azure-conversation-2023"), context_limit=10**6)
    assert len(requests) == 200
    for turns in requests.values():
        for before, after in pairwise(turns):
            assert after.prompt > before.prompt + before.output
        assert turns[0].prompt > 100


def test_turns_are_geometric_with_the_mean_asked_for_or_fixed():
    requests, _ = talk(FixedLengths(10, 10), sessions=3000, context_limit=10**6)
    counts = [len(turns) for turns in requests.values()]
    assert np.mean(counts) == pytest.approx(4.0, rel=0.06)
    assert np.var(counts) == pytest.approx(12.0, rel=0.15)
    fixed, _ = talk(FixedLengths(10, 10), turns=3.0, turns_distribution="fixed")
    assert {len(turns) for turns in fixed.values()} == {3}


def test_the_next_turn_comes_a_pause_after_the_answer():
    requests, _ = talk(FixedLengths(10, 10), sessions=2000, context_limit=10**6)
    pauses = [
        after.arrival_s - before.arrival_s - 2.0
        for turns in requests.values()
        for before, after in pairwise(turns)
    ]
    assert min(pauses) > 0
    assert np.mean(pauses) == pytest.approx(5.0, rel=0.05)


def test_a_session_ends_before_its_context_limit_and_a_long_first_turn_is_cut():
    requests, _ = talk(FixedLengths(300, 100), turns=50.0, context_limit=1000)
    assert {len(turns) for turns in requests.values()} <= {1, 2}
    assert max(len(turns) for turns in requests.values()) == 2
    cut, _ = talk(FixedLengths(5000, 3000), context_limit=1000)
    assert all(turns[0].prompt + turns[0].output <= 1000 for turns in cut.values())


def test_equal_ids_mean_equal_beginnings():
    requests, hashes = talk(FixedLengths(70, 30), sessions=20, context_limit=10**6)
    for turns in requests.values():
        for before, after in pairwise(turns):
            known, more = hashes[before.index], hashes[after.index]
            assert more[: len(known)] == known
            assert len(known) == (before.prompt + before.output) // 16
    first = {hashes[turns[0].index] for turns in requests.values()}
    assert len({ids[:6] for ids in first}) == 1
    assert len({ids[6] for ids in first}) == 20
    assert len(set(block_ids(0, 5, 40, shared=3)) & set(block_ids(1, 5, 40, shared=3))) == 0


def test_sessions_say_whose_they_are_and_stop_with_the_service():
    requests, _ = talk(FixedLengths(10, 10), duration_s=60.0)
    sent = [request for turns in requests.values() for request in turns]
    assert {(request.tenant, request.priority) for request in sent} == {(2, 1)}
    assert sorted(request.index for request in sent) == list(range(len(sent)))
    assert max(request.arrival_s for request in sent) <= 60.0
    few, _ = talk(FixedLengths(10, 10), most=25)
    assert sum(len(turns) for turns in few.values()) == 25


def test_a_session_says_the_same_at_any_load():
    slow, _ = talk(TableLengths("azure-code-2023"), spacing_s=2.0)
    fast, _ = talk(TableLengths("azure-code-2023"), spacing_s=0.5)
    for session in range(200):
        assert [(r.prompt, r.output) for r in slow[session]] == [(r.prompt, r.output) for r in fast[session]]
