"""Work that a run may cost, counted: rows of the log, events of the clock."""

from __future__ import annotations

import numpy as np
import pytest
from inference_reference import LinearTimer
from inference_world import serve

from clustersim import catalog
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler
from clustersim.workloads.inference.scheduling.prefill_first import PrefillFirstScheduler
from clustersim.workloads.inference.scheduling.unified import UnifiedScheduler

REQUESTS = 400


def azure(seed=1, rate_per_s=2.0):
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1.0 / rate_per_s, REQUESTS)).tolist()
    lengths = catalog.lengths("azure-conversation-2023").sample(rng, REQUESTS)
    return list(zip(arrivals, *(column.tolist() for column in lengths), strict=True))


def scheduler(policy):
    cache = KvCache(7424, block_tokens=16, watermark=0.01)
    if policy == "vllm":
        return PrefillFirstScheduler(cache, max_batch=128, max_batched_tokens=4096)
    kind = ChunkedPrefillScheduler if policy == "sarathi" else UnifiedScheduler
    return kind(cache, max_batch=128, token_budget=512)


@pytest.mark.parametrize(("policy", "most"), [("vllm", 4), ("sarathi", 7), ("vllm-v1", 7)])
def test_a_request_costs_a_few_rows_and_not_one_per_token(policy, most):
    requests = azure()
    served = serve(requests, scheduler(policy), LinearTimer())
    steps = int(served.log.column("steps").sum())
    assert len(served.log) < most * REQUESTS < steps / 4


def test_a_row_costs_one_event_and_an_arrival_at_most_two():
    served = serve(azure(), scheduler("sarathi"), LinearTimer())
    assert served.events <= len(served.log) + 2 * REQUESTS + 3


def test_rows_are_packed_and_a_request_has_no_dictionary():
    served = serve(azure(), scheduler("sarathi"), LinearTimer())
    assert served.log.bytes_per_row <= 104
    assert not hasattr(served.requests[0], "__dict__")
