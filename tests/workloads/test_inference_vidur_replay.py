"""Our schedulers follow Vidur's rules: batches, preemption, restarts and pipeline stages."""

from __future__ import annotations

import numpy as np
import pytest
from inference_reference import LinearTimer
from inference_world import serve
from vidur_rules import VidurReplica

from clustersim.cost.roofline import KernelTime
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler
from clustersim.workloads.inference.scheduling.prefill_first import PrefillFirstScheduler
from clustersim.workloads.inference.scheduling.reserving import OrcaScheduler

MICROSECOND = 1e-6
CAP, LONGEST = 16, 512
TOKENS = {"sarathi": 256, "vllm": 512, "orca": 1 << 30}


class StagedTimer(LinearTimer):
    """The linear timer over some stages, the first of which takes longest."""

    def __init__(self, stages):
        super().__init__()
        self.parts = [(stage + 2) / sum(range(2, stages + 2)) for stage in reversed(range(stages))]

    def stage_seconds(self, **batch):
        whole = self.step(**batch)
        return tuple(whole * part for part in self.parts)


def load(seed, count=70, gap_s=0.06):
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(gap_s, count)).tolist()
    lengths = rng.integers(1, 150, (2, count)).tolist()
    return list(zip(arrivals, *lengths, strict=True))


def scheduler(policy, *, blocks, stages):
    cache = KvCache(blocks, block_tokens=16, watermark=0.0 if policy == "orca" else 0.01)
    if policy == "sarathi":
        return ChunkedPrefillScheduler(
            cache, max_batch=CAP, token_budget=TOKENS[policy], vidur_rules=True, pipeline=stages
        )
    if policy == "vllm":
        return PrefillFirstScheduler(
            cache, max_batch=CAP, max_batched_tokens=TOKENS[policy], pad_prompts=True, pipeline=stages
        )
    return OrcaScheduler(
        cache, max_batch=CAP, max_batched_tokens=TOKENS[policy], reserved_tokens=LONGEST, pipeline=stages
    )


def compare(policy, requests, *, blocks, stages):
    """Serve the load by their rules and by ours; return both."""
    timer = StagedTimer(stages)
    theirs = VidurReplica(
        policy,
        timer.stage_seconds,
        blocks=blocks,
        cap=CAP,
        tokens=TOKENS[policy],
        stages=stages,
        longest=LONGEST,
    )
    jobs = theirs.serve(requests)
    ours = serve(requests, scheduler(policy, blocks=blocks, stages=stages), timer)
    for request, job in zip(ours.requests, jobs, strict=True):
        assert request.preemptions == job.restarts
        assert request.first_token_s == pytest.approx(job.first_token_s, abs=MICROSECOND)
        assert request.finish_s == pytest.approx(job.finish_s, abs=MICROSECOND)
    return ours, theirs


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("stages", [1, 2, 4])
@pytest.mark.parametrize("policy", ["vllm", "sarathi", "orca"])
def test_requests_end_when_their_rules_say(policy, stages, seed):
    compare(policy, load(seed), blocks=400, stages=stages)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("policy", ["vllm", "sarathi"])
def test_with_too_few_blocks_the_same_requests_are_restarted(policy, stages, seed):
    ours, _ = compare(policy, load(seed, gap_s=0.03), blocks=60, stages=stages)
    assert sum(request.preemptions for request in ours.requests) > 10


@pytest.mark.parametrize("policy", ["vllm", "sarathi"])
def test_the_batches_are_the_same(policy):
    ours, theirs = compare(policy, load(9), blocks=80, stages=1)
    stepping = serve(load(9), scheduler(policy, blocks=80, stages=1), StagedTimer(1), skip_ahead=False)
    batches = zip(stepping.log.column("batch"), stepping.log.column("tokens"), strict=True)
    assert list(batches) == [(size, tokens) for _, size, tokens in theirs.batches]
    assert sum(ours.log.column("steps")) == len(theirs.batches)


def test_the_stages_of_a_pipeline_work_at_the_same_time():
    timer = StagedTimer(2)
    alone = serve([(0.0, 50, 40)], scheduler("sarathi", blocks=400, stages=2), timer).requests[0].finish_s
    both = serve([(0.0, 50, 40), (0.001, 50, 40)], scheduler("sarathi", blocks=400, stages=2), timer)
    last_s = max(request.finish_s for request in both.requests)
    assert alone < last_s < 1.3 * alone


def test_stage_times_of_a_step_add_up_to_it():
    batch = {"decodes": 3, "context_sum": 100, "chunks": [(5, 0)], "sampled": 3}
    timer = StagedTimer(3)
    total = sum(timer.stage_seconds(**batch), start=KernelTime.ZERO)
    assert total.seconds == pytest.approx(timer.step(**batch).seconds)
