"""Given another simulator's time tables, our scheduler gives its times, request by request."""

from __future__ import annotations

import csv
import gzip

import pytest
from inference_world import serve_replicas

from clustersim.cost.serving.tables import TableTimer, read_tables
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler

FOLDER = "reference/serving"
MICROSECOND = 1e-6


@pytest.fixture(scope="module")
def timer(shared):
    return TableTimer(read_tables(shared(f"{FOLDER}/tables_llama2_7b_a100_tp1")), layers=32)


def rows(path):
    with gzip.open(path, "rt", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def sarathi():
    cache = KvCache(7424, block_tokens=16, watermark=0.01)
    return ChunkedPrefillScheduler(cache, max_batch=128, token_budget=512)


@pytest.mark.parametrize("skip_ahead", [True, False])
def test_a_thousand_requests_on_one_replica_agree_within_a_microsecond(shared, timer, skip_ahead):
    expected = rows(shared(f"{FOLDER}/vidur_7b_sarathi_r1_n1000_qps2.requests.csv.gz"))
    requests = [(row["arrived_at"], int(row["prompt"]), int(row["output"])) for row in expected]
    served = serve_replicas(requests, [sarathi()], timer, skip_ahead=skip_ahead)
    for request, row in zip(served.requests, expected, strict=True):
        assert request.first_token_s - request.arrival_s == pytest.approx(row["ttft_s"], abs=MICROSECOND)
        assert request.finish_s - request.arrival_s == pytest.approx(row["e2e_s"], abs=MICROSECOND)
        assert request.admitted_s - request.arrival_s == pytest.approx(row["queue_s"], abs=MICROSECOND)


def test_the_engine_runs_the_very_same_batches(shared, timer):
    expected = rows(shared(f"{FOLDER}/vidur_7b_sarathi_r1_n1000_qps2.requests.csv.gz"))
    batches = rows(shared(f"{FOLDER}/vidur_7b_sarathi_r1_n1000_qps2.iterations.csv.gz"))
    requests = [(row["arrived_at"], int(row["prompt"]), int(row["output"])) for row in expected]
    log = serve_replicas(requests, [sarathi()], timer, skip_ahead=False).logs[0]
    assert len(log) == len(batches) == 33075
    assert list(log.column("batch")) == [int(batch["batch_size"]) for batch in batches]
    assert list(log.column("tokens")) == [int(batch["num_tokens"]) for batch in batches]
    assert list(log.column("start_s")) == pytest.approx(
        [batch["start_s"] for batch in batches], abs=MICROSECOND
    )


def test_ten_thousand_requests_on_eight_replicas_agree_within_a_microsecond(shared, timer):
    expected = rows(shared(f"{FOLDER}/vidur_7b_sarathi_r8_n10000_qps16.requests.csv.gz"))
    requests = [(row["arrived_at"], int(row["prompt"]), int(row["output"])) for row in expected]
    served = serve_replicas(requests, [sarathi() for _ in range(8)], timer)
    worst = max(
        max(
            abs(request.first_token_s - request.arrival_s - row["ttft_s"]),
            abs(request.finish_s - request.arrival_s - row["e2e_s"]),
        )
        for request, row in zip(served.requests, expected, strict=True)
    )
    assert worst < MICROSECOND
