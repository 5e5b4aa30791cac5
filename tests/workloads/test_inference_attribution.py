"""Where the time of requests went: shares that sum to 1 and agree with adding up row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_reference import LinearTimer
from inference_world import serve

from clustersim.engine.trace import QUEUEING
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.measures.attribution import CLASSES, request_shares, service_shares
from clustersim.workloads.inference.measures.request_columns import RequestColumns
from clustersim.workloads.inference.replica.step_log import StepLog
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler
from clustersim.workloads.inference.scheduling.prefill_first import PrefillFirstScheduler


def served(seed, *, chunked, skip_ahead=True):
    """Requests on a KV cache that is too small for all of them, so that some are preempted."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(0.05, 30))
    requests = [
        (float(a), int(p), int(o)) for a, (p, o) in zip(arrivals, rng.integers(1, 80, (30, 2)), strict=True)
    ]
    cache = KvCache(24, block_tokens=8, watermark=0.0)
    scheduler = (
        ChunkedPrefillScheduler(cache, max_batch=16, token_budget=32)
        if chunked
        else PrefillFirstScheduler(cache, max_batch=16, max_batched_tokens=128)
    )
    return serve(requests, scheduler, LinearTimer(), skip_ahead=skip_ahead)


def of_requests(run):
    return request_shares(run.requests, RequestColumns.of(run.requests), run.logs)


def of_service(run):
    return service_shares(run.requests, RequestColumns.of(run.requests), run.logs)


def row_by_row(run):
    """Seconds of each request by resource, from every row of the log on its own."""
    rows, resources, values = run.log.entries()
    names = {number: name for name, number in run.log.resources.items()}
    for request in run.requests:
        waiting = [row for start, end in request.waits for row in range(start, end)]
        ran = [row for row in range(request.first_row, request.last_row + 1) if row not in set(waiting)]
        seconds = dict.fromkeys(CLASSES, 0.0)
        for row, resource, value in zip(rows.tolist(), resources.tolist(), values.tolist(), strict=True):
            if row in set(ran):
                seconds[names[resource]] += value
        seconds[QUEUEING] = request.finish_s - request.arrival_s - sum(seconds.values())
        yield seconds


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), chunked=st.booleans())
def test_shares_of_every_request_sum_to_one(seed, chunked):
    run = served(seed, chunked=chunked)
    shares = of_requests(run)
    total = sum(shares.values())
    assert total == pytest.approx(np.ones(len(run.requests)), abs=1e-9)
    assert all((column >= 0).all() for column in shares.values())
    assert sum(of_service(run).values()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("chunked", [False, True])
def test_prefix_sums_give_what_adding_up_row_by_row_gives(chunked):
    run = served(3, chunked=chunked)
    assert sum(request.preemptions for request in run.requests) > 0
    shares = of_requests(run)
    total = dict.fromkeys(CLASSES, 0.0)
    for place, (request, seconds) in enumerate(zip(run.requests, row_by_row(run), strict=True)):
        e2e_s = request.finish_s - request.arrival_s
        for name in CLASSES:
            assert shares[name][place] == pytest.approx(seconds[name] / e2e_s, abs=1e-9)
            total[name] += seconds[name]
    whole_s = sum(total.values())
    for name, share in of_service(run).items():
        assert share == pytest.approx(total[name] / whole_s, abs=1e-9)


def test_the_wait_before_admission_is_queueing():
    run = served(3, chunked=False)
    shares = of_requests(run)[QUEUEING]
    for request, share in zip(run.requests, shares, strict=True):
        if not request.preemptions:
            e2e_s = request.finish_s - request.arrival_s
            assert share == pytest.approx((request.admitted_s - request.arrival_s) / e2e_s, abs=1e-9)


def test_skipping_ahead_leaves_the_shares_as_they_are():
    skipping, stepping = (served(9, chunked=False, skip_ahead=skip) for skip in (True, False))
    for name in CLASSES:
        first, second = (of_requests(run)[name] for run in (skipping, stepping))
        np.testing.assert_allclose(first, second, atol=1e-9)


def test_time_in_which_kv_comes_from_elsewhere_is_told_by_what_brought_it():
    run = served(3, chunked=False)
    alone = of_requests(run)
    place = int(np.argmax(alone[QUEUEING]))
    request = run.requests[place]
    request.loading_s = {"network_bandwidth:a>b": 0.001, "storage": 0.002}
    shares = of_requests(run)
    e2e_s = request.finish_s - request.arrival_s
    assert shares["storage"][place] == pytest.approx(0.002 / e2e_s)
    assert shares["network_bandwidth"][place] == pytest.approx(0.001 / e2e_s)
    assert shares[QUEUEING][place] == pytest.approx(alone[QUEUEING][place] - 0.003 / e2e_s)
    assert np.delete(shares["storage"], place).sum() == 0.0


def test_rows_of_another_batch_in_flight_are_not_those_of_a_request():
    log = StepLog()
    for row in range(6):
        log.append(
            start_s=row,
            end_s=row + 1.0,
            first_s=1.0,
            steps=1,
            batch=1,
            decodes=1,
            tokens=1,
            kv_start_blocks=0,
            kv_end_blocks=0,
            queued=0,
            own_s=(1.0, 0.0, 0.0),
            slot=row % 2,
            pairs=0,
            kv_tokens=0,
        )
    request = Request(0, 0.0, 1, 3)
    request.replica, request.first_row, request.last_row, request.finish_s = 0, 1, 5, 6.0
    shares = request_shares([request], RequestColumns.of([request]), [log])
    assert shares["compute"][0] == pytest.approx(3 / 6)
    assert shares[QUEUEING][0] == pytest.approx(3 / 6)
    whole = service_shares([request], RequestColumns.of([request]), [log])
    assert whole["compute"] == pytest.approx(3 / 6)
