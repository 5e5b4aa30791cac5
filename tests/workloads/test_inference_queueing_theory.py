"""One replica that serves one request after another is the queue of the textbooks."""

from __future__ import annotations

import numpy as np
import pytest
from inference_reference import LinearTimer
from inference_world import serve

from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler
from clustersim.workloads.inference.scheduling.prefill_first import PrefillFirstScheduler


def single_server(*, chunked):
    cache = KvCache(1000, block_tokens=16, watermark=0.0)
    if chunked:
        return ChunkedPrefillScheduler(cache, max_batch=1, token_budget=64)
    return PrefillFirstScheduler(cache, max_batch=1, max_batched_tokens=8192)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("load", [0.3, 0.7])
def test_mean_wait_is_that_of_an_m_d_1_queue(chunked, load):
    prompt, output = 100, 5
    timer = LinearTimer()
    alone = serve([(0.0, prompt, output)], single_server(chunked=chunked), timer).requests[0]
    service_s = alone.finish_s
    rng = np.random.default_rng(11)
    arrivals = np.cumsum(rng.exponential(service_s / load, 6_000)).tolist()
    requests = [(arrival_s, prompt, output) for arrival_s in arrivals]
    served = serve(requests, single_server(chunked=chunked), timer)
    waits = np.array([request.admitted_s - request.arrival_s for request in served.requests])
    assert waits.mean() == pytest.approx(load * service_s / (2 * (1 - load)), rel=0.1)
    assert (waits < 1e-9).mean() == pytest.approx(1 - load, abs=0.02)


class TokenTimer(LinearTimer):
    """Every step takes the same time, so that service is the number of output tokens."""

    def __init__(self, token_s):
        super().__init__(base_s=token_s, token_s=0.0, context_s=0.0, chunk_s=0.0)


def mean_waits(outputs, *, load, seeds=10, count=1500, warmup=300):
    """Mean wait in units of the mean service, of independent runs with batch 1 at this load."""
    waits = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        tokens = outputs(rng, count)
        arrivals = np.cumsum(rng.exponential(1.0 / load, count))
        timer = TokenTimer(1.0 / outputs.mean)
        requests = list(zip(arrivals.tolist(), [1] * count, tokens.tolist(), strict=True))
        served = serve(requests, single_server(chunked=False), timer).requests[warmup:]
        waits.append(np.mean([request.admitted_s - request.arrival_s for request in served]))
    return np.array(waits)


def constant(rng, count):
    return np.full(count, constant.mean)


def exponential(rng, count):
    """Geometric lengths of a large mean: exponential service but for its grain."""
    return rng.geometric(1.0 / exponential.mean, count)


constant.mean, exponential.mean = 50, 400
STUDENT_99_9_DEGREES = 3.25


@pytest.mark.parametrize("load", [0.4, 0.7])
@pytest.mark.parametrize(("outputs", "factor"), [(constant, 0.5), (exponential, 1.0)])
def test_waits_are_those_of_m_d_1_and_m_m_1_within_confidence_intervals(outputs, factor, load):
    waits = mean_waits(outputs, load=load)
    half_width = STUDENT_99_9_DEGREES * waits.std(ddof=1) / np.sqrt(len(waits))
    assert waits.mean() == pytest.approx(factor * load / (1.0 - load), abs=half_width)
    assert half_width < 0.4 * waits.mean()


def test_the_longest_queue_waits_for_those_before_it():
    requests = [(0.0, 100, 1)] * 10
    served = serve(requests, single_server(chunked=False), LinearTimer())
    service_s = served.requests[0].finish_s
    finishes = [request.finish_s for request in served.requests]
    assert finishes == pytest.approx([service_s * (i + 1) for i in range(10)])
