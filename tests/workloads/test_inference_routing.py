"""Which replica gets a request, by each policy."""

from __future__ import annotations

import heapq
from collections import Counter

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fleets import run_service

from clustersim.workloads.inference.fleet.load_board import LoadBoard
from clustersim.workloads.inference.fleet.routing import make_router
from clustersim.workloads.inference.requests import Request

POLICIES = (
    "round-robin",
    "random",
    "least-outstanding",
    "shortest-queue",
    "power-of-two",
    "prefix-aware",
    "session-affinity",
)


def board_of(replicas, *, ready=None):
    board = LoadBoard(simpy.Environment(), replicas)
    for replica in range(replicas) if ready is None else ready:
        board.set_ready(replica, ready=True)
    return board


def router_of(policy, replicas, *, kv_tokens=10**6, seed=1):
    return make_router(policy, replicas=replicas, kv_tokens=kv_tokens, rng=np.random.default_rng(seed))


def request_of(index=0, *, prompt=100, session=-1, hashes=None, hash_tokens=10):
    request = Request(index, 0.0, prompt, 10)
    request.session, request.hashes, request.hash_tokens = session, hashes, hash_tokens
    return request


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=30, deadline=None)
@given(ready=st.sets(st.integers(0, 6), min_size=1), sessions=st.lists(st.integers(-1, 5), max_size=20))
def test_only_ready_replicas_are_chosen(policy, ready, sessions):
    board, router = board_of(7, ready=ready), router_of(policy, 7)
    for index, session in enumerate(sessions):
        request = request_of(index, session=session, hashes=(session, index))
        chosen = router.choose(request, board)
        assert chosen in ready
        board.sent(chosen, request)


def test_round_robin_takes_turns_and_passes_over_who_is_not_ready():
    board, router = board_of(4), router_of("round-robin", 4)
    assert [router.choose(request_of(), board) for _ in range(6)] == [0, 1, 2, 3, 0, 1]
    board.set_ready(2, ready=False)
    assert [router.choose(request_of(), board) for _ in range(4)] == [3, 0, 1, 3]


def test_least_outstanding_counts_requests_and_shortest_queue_their_tokens():
    board = board_of(2)
    board.sent(0, request_of(prompt=5000))
    board.sent(1, request_of(prompt=100))
    board.sent(1, request_of(prompt=100))
    assert router_of("least-outstanding", 2).choose(request_of(), board) == 0
    assert router_of("shortest-queue", 2).choose(request_of(), board) == 1
    board.left(0, request_of(prompt=5000))
    assert router_of("shortest-queue", 2).choose(request_of(), board) == 0


def waits(policy, *, replicas=20, load=0.9, requests=20_000):
    """Requests of random length on servers that take them one by one; how long each waits."""
    rng = np.random.default_rng(7)
    arrivals = np.cumsum(rng.exponential(1.0 / (load * replicas), requests)).tolist()
    service = rng.exponential(1.0, requests).tolist()
    board, router = board_of(replicas), router_of(policy, replicas)
    free_at, leaving, found = [0.0] * replicas, [], []
    for index, (now, seconds) in enumerate(zip(arrivals, service, strict=True)):
        while leaving and leaving[0][0] <= now:
            _, _, replica, request = heapq.heappop(leaving)
            board.left(replica, request)
            router.left(replica, request)
        request = request_of(index, prompt=max(1, int(1000 * seconds)))
        replica = router.choose(request, board)
        board.sent(replica, request)
        found.append(max(0.0, free_at[replica] - now))
        free_at[replica] = now + found[-1] + seconds
        heapq.heappush(leaving, (free_at[replica], index, replica, request))
    return np.array(found[1000:])


def test_two_choices_have_a_far_shorter_tail_than_one_and_all_choices_none_longer():
    tail = {policy: np.percentile(waits(policy), 99) for policy in POLICIES[1:5]}
    assert tail["power-of-two"] < 0.35 * tail["random"]
    assert tail["least-outstanding"] < tail["power-of-two"]
    assert tail["shortest-queue"] < tail["least-outstanding"]


def test_random_choice_has_the_waits_of_separate_queues():
    # M/M/1 of load 0.9: mean wait 0.9 / (1 - 0.9) service times.
    assert waits("random").mean() == pytest.approx(9.0, rel=0.15)


def conversations(*, sessions=40, turns=8, seed=3):
    """Turns of many conversations, shuffled; each prompt begins with all of the last one."""
    rng = np.random.default_rng(seed)
    turn_of, order = Counter(), rng.permutation(np.repeat(np.arange(sessions), turns))
    for index, session in enumerate(order.tolist()):
        blocks = 10 * (turn_of[session] + 1)
        turn_of[session] += 1
        hashes = tuple(1000 * session + block for block in range(blocks))
        yield request_of(index, prompt=10 * blocks, session=session, hashes=hashes)


def cached_share(policy, *, outstanding=16):
    """Share of prompt tokens that were on the chosen replica before; few requests are out at once."""
    replicas = 8
    board, router = board_of(replicas), router_of(policy, replicas)
    kept, out = [set() for _ in range(replicas)], []
    found = total = 0
    for request in conversations():
        replica = router.choose(request, board)
        found += request.hash_tokens * sum(block in kept[replica] for block in request.hashes)
        total += request.prompt
        kept[replica].update(request.hashes)
        board.sent(replica, request)
        out.append((replica, request))
        if len(out) > outstanding:
            board.left(*out[0])
            router.left(*out.pop(0))
    return found / total


def test_routing_by_prefix_or_session_finds_what_others_leave_to_chance():
    best = sum(range(10, 80, 10)) / sum(range(10, 90, 10))
    assert cached_share("session-affinity") == pytest.approx(best)
    assert cached_share("prefix-aware") > 0.8 * best
    for policy in ("round-robin", "random", "least-outstanding", "power-of-two"):
        assert cached_share(policy) < 0.6 * best


def popular(index):
    """A prompt of 1,000 tokens that begins with 800 that many have."""
    return request_of(index, prompt=1000, hashes=tuple(range(80)))


def test_in_a_service_prefix_aware_routing_finds_more_in_the_caches_and_answers_sooner():
    sessions = {
        "kind": "sessions",
        "starts": {"kind": "poisson", "rate": "1 req/s"},
        "turns": 6,
        "think_time": "3 s",
        "system_prompt": 200,
    }
    fields = {"arrivals": sessions, "requests": 200, "replicas": 4, "kv_cache": {"prefix_caching": True}}
    found = {}
    for routing in ("round-robin", "least-outstanding", "prefix-aware"):
        found[routing] = run_service(**fields, routing=routing)[0].metrics
    for other in ("round-robin", "least-outstanding"):
        assert found["prefix-aware"]["cache_hit_rate"] > 1.4 * found[other]["cache_hit_rate"]
        assert found["prefix-aware"]["ttft_s.mean"] < found[other]["ttft_s.mean"]


def test_a_popular_prefix_is_copied_once_its_replica_has_more_to_do_than_it_saves():
    board, router = board_of(2), router_of("prefix-aware", 2)
    chosen = [router.choose(popular(index), board) for index in range(8)]
    # 1,000 tokens for the first, 200 for the next of a replica: at 1,000 each it is even.
    assert chosen == [0, 1, 0, 1, 0, 1, 0, 1]
    for index, replica in enumerate(chosen):
        router.left(replica, popular(index))
    router.forget(0)
    # 200 tokens more each time, until computing all 1,000 on the other replica is less.
    assert [router.choose(popular(10 + index), board) for index in range(6)] == [1, 1, 1, 1, 0, 1]


def test_far_more_requests_than_elsewhere_outweigh_any_prefix():
    board, router = board_of(2), router_of("prefix-aware", 2)
    chosen = []
    for index in range(69):
        huge = request_of(index, prompt=10**6)
        request = request_of(index, prompt=10**4, hashes=tuple(range(1000))) if index else huge
        chosen.append(router.choose(request, board))
        board.sent(chosen[-1], request)
    assert chosen == [0] + [1] * 66 + [0, 1]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_prefix_router_takes_the_least_score_there_is(data):
    replicas = 5
    board, router = board_of(replicas), router_of("prefix-aware", replicas)
    sent, load = [[] for _ in range(replicas)], [0] * replicas
    for index in range(data.draw(st.integers(1, 25))):
        blocks = tuple(data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=6)))
        hashes = tuple(hash(blocks[: n + 1]) for n in range(len(blocks)))
        request = request_of(index, prompt=10 * len(blocks) + 3, hashes=hashes)

        def score(replica, hashes=hashes, request=request):
            known = {block for other in sent[replica] for block in other}
            depth = next((n for n, block in enumerate(hashes) if block not in known), len(hashes))
            return load[replica] + request.prompt - 10 * depth

        chosen = router.choose(request, board)
        assert score(chosen) == min(map(score, range(replicas)))
        load[chosen] = score(chosen)
        sent[chosen].append(hashes)
        board.sent(chosen, request)


def test_the_prefix_router_remembers_no_more_than_the_caches_hold():
    board, router = board_of(2), router_of("prefix-aware", 2, kv_tokens=200)

    def send(index, first):
        request = request_of(index, prompt=100, hashes=tuple(range(first, first + 10)))
        replica = router.choose(request, board)
        router.left(replica, request)
        return replica

    assert send(0, first=0) == 0
    blocker = request_of(1, prompt=50)
    assert router.choose(blocker, board) == 0
    assert send(2, first=0) == 0
    assert [send(3 + n, first=100 * (n + 1)) for n in range(2)] == [1, 1]
    assert send(6, first=0) == 1


def test_sessions_of_a_dead_replica_alone_move_and_come_back():
    board, router = board_of(8), router_of("session-affinity", 8)

    def owners():
        return [router.choose(request_of(session=session), board) for session in range(2000)]

    before = owners()
    assert before == owners()
    board.set_ready(3, ready=False)
    during = owners()
    assert all(new == old for new, old in zip(during, before, strict=True) if old != 3)
    moved = {new for new, old in zip(during, before, strict=True) if old == 3}
    assert 3 not in moved
    assert len(moved) > 3
    board.set_ready(3, ready=True)
    assert owners() == before


def test_sessions_are_spread_over_the_ring():
    board, router = board_of(8), router_of("session-affinity", 8)
    counts = Counter(router.choose(request_of(session=session), board) for session in range(8000))
    assert min(counts.values()) / 1000 > 0.7
    assert max(counts.values()) / 1000 < 1.4


def test_the_board_knows_how_long_a_replica_had_requests():
    env = simpy.Environment()
    board = LoadBoard(env, 1)
    env.timeout(2.0).callbacks.append(lambda _: board.sent(0, request_of()))
    env.timeout(3.0).callbacks.append(lambda _: board.sent(0, request_of()))
    env.timeout(5.0).callbacks.append(lambda _: board.left(0, request_of()))
    env.timeout(6.0).callbacks.append(lambda _: board.left(0, request_of()))
    env.run(until=5.5)
    assert board.busy_seconds(0) == 3.5
    env.run(until=9.0)
    assert board.busy_seconds(0) == 4.0
