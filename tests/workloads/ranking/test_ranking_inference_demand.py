"""Who sends queries, when, and with how many candidates."""

import numpy as np
import pytest
import simpy
from ranking_pools import ranking_scenario

import clustersim as cs
from clustersim.errors import InputError
from clustersim.spec.ranking.candidates import (
    FixedCandidates,
    LogNormalCandidates,
    ParetoCandidates,
    QuantileCandidates,
)
from clustersim.workloads.ranking.inference.demand.candidates import CandidateStream, candidates_of
from clustersim.workloads.ranking.inference.demand.loads import OpenQueries, QueryHost
from clustersim.workloads.ranking.inference.demand.plan import read_query_trace

MANY = 100_000


def drawn(spec, count=MANY, seed=0):
    return candidates_of(spec).draw(np.random.default_rng(seed), count)


def test_queries_of_mlperf_have_100_to_700_candidates_and_270_in_the_mean():
    found = drawn(QuantileCandidates(kind="quantiles"))
    assert set(found.tolist()) == {100, 200, 300, 400, 500, 600, 700}
    assert found.mean() == pytest.approx(270.0, rel=0.01)
    assert (found == 200).mean() == pytest.approx(0.6, abs=0.01)


def test_log_normal_queries_have_their_median_and_spread():
    found = drawn(LogNormalCandidates(kind="log-normal", median=200.0, sigma=0.8))
    assert np.median(found) == pytest.approx(200.0, rel=0.02)
    assert np.log(found).std() == pytest.approx(0.8, rel=0.02)


def test_pareto_queries_have_a_power_law_tail():
    found = drawn(ParetoCandidates(kind="pareto", min=100, shape=1.5, max=10_000))
    assert found.min() == 100
    assert found.max() == 10_000
    assert (found > 800).mean() == pytest.approx((100 / 800) ** 1.5, rel=0.05)


@pytest.mark.parametrize(
    "spec",
    [
        FixedCandidates(kind="fixed", samples=7),
        QuantileCandidates(kind="quantiles"),
        LogNormalCandidates(kind="log-normal", median=200.0, sigma=0.8),
        ParetoCandidates(kind="pareto", min=100, shape=1.5),
    ],
    ids=lambda spec: spec.kind,
)
def test_a_longer_run_begins_with_the_same_queries(spec):
    assert drawn(spec, 50).tolist() == drawn(spec, 5000)[:50].tolist()


def test_a_stream_gives_them_one_by_one():
    candidates = candidates_of(QuantileCandidates(kind="quantiles"))
    stream = CandidateStream(candidates, np.random.default_rng(3))
    one_by_one = [stream.next() for _ in range(5000)]
    assert one_by_one[:4096] == candidates.draw(np.random.default_rng(3), 4096).tolist()


def test_the_host_delays_queries_by_their_size_and_large_ones_are_overtaken():
    sent = []
    load = OpenQueries(np.array([0.0, 1.0]), np.array([300, 10]), QueryHost(0.5, 0.01))
    env = simpy.Environment()
    env.process(load.run(env, lambda arrival_s, samples, tell: sent.append((env.now, arrival_s, samples))))
    env.run()
    assert sent == [(pytest.approx(1.6), 1.0, 10), (pytest.approx(3.5), 0.0, 300)]


def test_a_trace_is_sorted_and_counts_from_its_first_query(tmp_path):
    path = tmp_path / "queries.csv"
    path.write_text("arrived_at,candidates\n7.5,300\n5,100\n")
    arrival_s, samples = read_query_trace(path)
    assert arrival_s.tolist() == [0.0, 2.5]
    assert samples.tolist() == [100, 300]


@pytest.mark.parametrize("candidates", ["0", "many", "2.5", "-4"])
def test_a_broken_trace_says_which_line(tmp_path, candidates):
    path = tmp_path / "queries.csv"
    path.write_text(f"arrived_at,candidates\n0,100\n1,{candidates}\n")
    with pytest.raises(InputError, match=rf"queries.csv:3.*candidates is '{candidates}'"):
        read_query_trace(path)


def test_a_trace_is_served_at_its_times(tmp_path):
    (tmp_path / "queries.csv").write_text("arrived_at,candidates\n0,100\n0.5,300\n3,200\n")
    scenario = ranking_scenario(
        arrivals={"kind": "trace", "path": str(tmp_path / "queries.csv"), "rate_scale": 2.0}
    )
    table = cs.run(scenario).outcome("feed").tables["queries"]
    assert table["arrival_s"].tolist() == pytest.approx([0.0, 0.25, 1.5])
    assert table["candidates"].tolist() == [100, 300, 200]


def test_clients_wait_for_their_answers():
    scenario = ranking_scenario(arrivals={"kind": "closed-loop", "clients": 3}, queries=60)
    table = cs.run(scenario).outcome("feed").tables["queries"]
    begun = np.sort(table["arrival_s"])
    ended = np.sort(table["finish_s"])
    assert len(begun) == 60
    # The n-th query from the fourth on is sent when an answer has come.
    np.testing.assert_allclose(begun[3:], ended[:-3], rtol=1e-12)


def test_a_service_without_an_end_or_candidates_is_refused():
    with pytest.raises(InputError, match="'duration' or 'queries'"):
        ranking_scenario(queries=None)
    with pytest.raises(InputError, match="need 'candidates'"):
        ranking_scenario(candidates=None)
