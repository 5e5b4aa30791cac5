"""A pool is the queue that theory knows, where its batches are single queries."""

import math

import numpy as np
import pytest
from ranking_pools import SizeTimer, serve

from clustersim.workloads.serving.confidence import estimates

QUERIES = 30_000


def waiting(rate_per_s, seconds_of, *, workers=1, seed=0):
    """Return the mean wait for a worker, with its interval."""
    gaps = np.random.default_rng(seed).exponential(1.0 / rate_per_s, QUERIES)
    queries = [(arrival_s, 1) for arrival_s in np.cumsum(gaps).tolist()]
    run = serve(queries, SizeTimer(seconds_of), devices=workers, max_samples=1)
    columns = run.pool.queries
    return estimates(columns.column("dispatched_s") - columns.column("submitted_s"))["mean"]


def erlang_wait_s(rate_per_s, service_s, workers):
    """Mean wait of M/M/c."""
    load = rate_per_s * service_s
    terms = [load**k / math.factorial(k) for k in range(workers)]
    last = load**workers / math.factorial(workers) / (1.0 - load / workers)
    return last / (sum(terms) + last) * service_s / (workers - load)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_constant_times_are_m_d_1(load):
    found = waiting(load, lambda samples: 1.0)
    assert found.low <= load / (2.0 * (1.0 - load)) <= found.high


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_exponential_times_are_m_m_1(load):
    rng = np.random.default_rng(7)
    found = waiting(load, lambda samples: float(rng.exponential(1.0)))
    assert found.low <= load / (1.0 - load) <= found.high


@pytest.mark.parametrize("workers", [2, 8])
def test_constant_times_on_several_workers_are_m_d_c(workers):
    """Cosmetatos, Operational Research Quarterly 27, 1976: within some percent of exact values."""
    load = 0.8
    correction = (1.0 - load) * (workers - 1) * (math.sqrt(4.0 + 5.0 * workers) - 2.0)
    expected_s = (
        0.5 * (1.0 + correction / (16.0 * load * workers)) * erlang_wait_s(load * workers, 1.0, workers)
    )
    found = waiting(load * workers, lambda samples: 1.0, workers=workers)
    assert found.low * 0.97 <= expected_s <= found.high * 1.03
