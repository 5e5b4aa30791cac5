"""Queries are cut, queued, batched and computed: against a plain loop, and each sample once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_pools import SizeTimer, plainly_served, serve

from clustersim.workloads.ranking.inference.replica import batch


def seconds_of(samples):
    return 1e-3 + 1e-5 * samples


def poisson(count, rate_per_s, *, seed=0, largest=700):
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1.0 / rate_per_s, count))
    return list(zip(arrivals.tolist(), rng.integers(1, largest + 1, count).tolist(), strict=True))


CASES = {
    "one worker": {"workers": 1, "max_samples": 1000},
    "several workers": {"workers": 3, "max_samples": 1000},
    "waits for a batch to fill": {"workers": 2, "max_samples": 2000, "max_delay_s": 4e-3},
    "queries larger than a batch": {"workers": 2, "max_samples": 300},
    "pieces over workers": {"workers": 4, "max_samples": 800, "split": 100},
    "pieces and delay": {"workers": 3, "max_samples": 900, "split": 128, "max_delay_s": 2e-3},
}


@pytest.mark.parametrize("rules", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("rate_per_s", [200.0, 800.0])
def test_batching_and_splitting_equal_a_plain_loop(rules, rate_per_s):
    queries = poisson(600, rate_per_s)
    ends, batches = plainly_served(queries, seconds_of, **rules)
    own = {name: value for name, value in rules.items() if name != "workers"}
    run = serve(queries, SizeTimer(seconds_of), devices=rules["workers"], **own)
    np.testing.assert_allclose(run.pool.queries.column("finish_s"), ends, rtol=1e-9)
    found = sorted(
        zip(
            run.pool.log.column("dispatched_s").tolist(), run.pool.log.column("samples").tolist(), strict=True
        )
    )
    np.testing.assert_allclose(found, sorted(batches), rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    queries=st.lists(st.tuples(st.floats(0.0, 0.05), st.integers(1, 900)), min_size=1, max_size=25),
    devices=st.integers(1, 3),
    instances=st.integers(1, 2),
    max_samples=st.integers(1, 1000),
    split=st.one_of(st.none(), st.integers(1, 200)),
    max_delay_s=st.sampled_from([0.0, 1e-3, 2e-2]),
    routing=st.sampled_from(["round-robin", "least-outstanding", "shortest-queue"]),
)
def test_every_sample_is_computed_once_and_no_batch_exceeds_its_limit(
    queries, devices, instances, max_samples, split, max_delay_s, routing
):
    run = serve(
        sorted(queries),
        SizeTimer(seconds_of, host_s=1e-4),
        replicas=2,
        devices=devices,
        instances=instances,
        routing=routing,
        max_samples=max_samples,
        split=split,
        max_delay_s=max_delay_s,
    )
    log, columns = run.pool.log, run.pool.queries
    assert log.column("samples").sum() == sum(samples for _, samples in queries)
    assert log.column("samples").max() <= max_samples
    assert sorted(run.answered) == list(range(len(queries)))
    assert not any(columns.pieces)
    assert run.pool.loads.requests == [0, 0]
    assert run.pool.loads.work == [0, 0]
    assert (columns.column("finish_s") > columns.column("dispatched_s")).all()


def test_a_batch_waits_no_longer_than_the_delay_for_others():
    run = serve([(0.0, 10), (0.5, 10)], SizeTimer(seconds_of), max_samples=100, max_delay_s=0.2)
    assert run.pool.queries.column("dispatched_s").tolist() == pytest.approx([0.2, 0.7])


def test_a_full_batch_does_not_wait():
    run = serve([(0.0, 60), (0.1, 40)], SizeTimer(seconds_of), max_samples=100, max_delay_s=0.2)
    assert run.pool.queries.column("dispatched_s").tolist() == pytest.approx([0.1, 0.1])
    assert run.pool.log.column("samples").tolist() == [100]


def test_a_query_in_pieces_ends_sooner_on_idle_workers_and_with_its_last_piece():
    whole = serve([(0.0, 800)], SizeTimer(seconds_of), devices=4, max_samples=800)
    cut = serve([(0.0, 800)], SizeTimer(seconds_of), devices=4, max_samples=800, split=200)
    assert whole.pool.queries.finish_s[0] == pytest.approx(seconds_of(800))
    assert cut.pool.queries.finish_s[0] == pytest.approx(seconds_of(200))
    assert cut.pool.log.column("samples").tolist() == [200] * 4


def test_instances_overlap_their_hosts_and_share_the_device():
    queries = [(0.0, 1)] * 4
    one = serve(queries, SizeTimer(lambda samples: 1.0, host_s=1.0), max_samples=1)
    two = serve(queries, SizeTimer(lambda samples: 1.0, host_s=1.0), instances=2, max_samples=1)
    assert max(one.pool.queries.finish_s) == pytest.approx(8.0)
    # The first batches are prepared side by side; from then on the device is never idle.
    assert max(two.pool.queries.finish_s) == pytest.approx(5.0)
    assert two.pool.log.column("waited_s").sum() > 0.0


def test_batches_go_to_the_device_that_has_fewest():
    run = serve([(0.0, 1)] * 2, SizeTimer(lambda samples: 1.0), devices=2, instances=2, max_samples=1)
    assert run.pool.queries.column("finish_s").tolist() == [1.0, 1.0]


def test_a_replica_that_is_not_ready_gets_no_queries():
    run = serve([], SizeTimer(seconds_of), replicas=3, max_samples=10)
    run.pool.loads.set_ready(1, ready=False)
    rows = [run.pool.submit(0.0, 1) for _ in range(4)]
    assert [run.pool.queries.replica[row] for row in rows] == [0, 2, 0, 2]


def test_scatter_changes_times_and_not_their_median():
    run = serve([(float(n), 10) for n in range(2001)], SizeTimer(seconds_of), max_samples=10, scatter=0.2)
    latency_s = run.pool.queries.column("finish_s") - run.pool.queries.column("arrival_s")
    assert np.median(latency_s) == pytest.approx(seconds_of(10), rel=0.02)
    assert np.log(latency_s).std() == pytest.approx(0.2, rel=0.05)


def test_leaping_to_the_end_of_a_batch_changes_nothing(monkeypatch):
    queries = poisson(400, 600.0)
    run = {"devices": 2, "max_samples": 900, "split": 200}
    leapt = serve(queries, SizeTimer(seconds_of, host_s=2e-4), **run)
    monkeypatch.setattr(batch, "leap_of", lambda profile, worker: None)
    stepped = serve(queries, SizeTimer(seconds_of, host_s=2e-4), **run)
    for name in ("finish_s", "dispatched_s", "replica", "batch"):
        np.testing.assert_allclose(
            leapt.pool.queries.column(name), stepped.pool.queries.column(name), rtol=1e-12
        )
    # Of host and kernels one event is left.
    assert next(stepped.env._eid) - next(leapt.env._eid) == len(leapt.pool.log)


@pytest.mark.parametrize(("load", "helps"), [(0.1, True), (1.2, False)])
def test_pieces_help_the_tail_at_low_load_and_cost_throughput_at_high_load(load, helps):
    """DeepRecSys, section III: parallelism within queries against batches that pay their overhead once."""
    rng = np.random.default_rng(2)
    samples = np.minimum(20 * (1.0 + rng.pareto(1.2, 3000)), 3000).astype(int)
    rate_per_s = load * 8 / seconds_of(samples.mean())
    arrivals = np.cumsum(rng.exponential(1.0 / rate_per_s, len(samples)))
    queries = list(zip(arrivals.tolist(), samples.tolist(), strict=True))

    def p99_s(**rules):
        columns = serve(queries, SizeTimer(seconds_of), devices=8, max_samples=3000, **rules).pool.queries
        return np.percentile(columns.column("finish_s") - columns.column("arrival_s"), 99)

    assert (p99_s(split=50) < p99_s()) == helps


def test_a_query_and_a_batch_take_some_tens_of_bytes():
    run = serve(poisson(2000, 500.0), SizeTimer(seconds_of), max_samples=2000)
    columns, log = run.pool.queries, run.pool.log
    per_query = sum(getattr(columns, name).itemsize for name in columns.__slots__)
    per_batch = sum(column.itemsize for column in log._columns.values())
    assert per_query <= 64
    assert per_batch <= 80
    assert not columns.pieces.count(1)
