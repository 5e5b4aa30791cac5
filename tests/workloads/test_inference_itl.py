"""Times between tokens, from rows of the step log, against a list of every token's time."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_reference import LinearTimer, PlainReplica
from inference_world import serve
from test_inference_skip_ahead import loads, replicas, scheduler

from clustersim.workloads.inference.measures.inter_token import inter_token_times
from clustersim.workloads.inference.measures.progressions import Progressions
from clustersim.workloads.inference.measures.request_columns import RequestColumns


class WritesDown(PlainReplica):
    """A plain replica that keeps the time of every token."""

    def _token(self, job, now):
        self.tokens_of[job.index].append(now)
        super()._token(job, now)


def gaps(requests, limits, *, chunked, chosen):
    """All gaps between tokens of the chosen requests, from the slow twin, sorted."""
    policy, tokens = ("sarathi", chunked) if chunked else ("vllm", 60)
    plain = WritesDown(LinearTimer(), policy=policy, tokens=tokens, **limits)
    plain.tokens_of = defaultdict(list)
    plain.serve(requests)
    found = [np.diff(times) for index, times in plain.tokens_of.items() if chosen[index]]
    return np.sort(np.concatenate([*found, np.empty(0)]))


@settings(max_examples=150, deadline=None)
@given(
    requests=loads(),
    limits=replicas(),
    chunked=st.sampled_from([None, 7, 64]),
    skip=st.booleans(),
    seed=st.integers(0, 9),
)
def test_the_distribution_is_that_of_all_tokens_of_the_slow_twin(requests, limits, chunked, skip, seed):
    """Prompts of others, preemptions, single-token answers, and some of the requests alone included."""
    chosen = np.random.default_rng(seed).random(len(requests)) < 0.7
    served = serve(
        requests, scheduler(limits, chunked=chunked, max_batched_tokens=60), LinearTimer(), skip_ahead=skip
    )
    found = inter_token_times(RequestColumns.of(served.requests), served.logs, chosen)
    expected = gaps(requests, limits, chunked=chunked, chosen=chosen)
    assert found.total == len(expected)
    if not found.total:
        return
    assert found.mean == pytest.approx(expected.mean(), rel=1e-9)
    assert found.largest == pytest.approx(expected[-1], rel=1e-7)
    levels = [0.0, 0.1, 0.5, 0.9, 0.99, 1.0]
    ranks = np.maximum(1, np.ceil(np.array(levels) * len(expected) - 1e-9)).astype(int)
    assert found.quantiles(levels) == pytest.approx(expected[ranks - 1].tolist(), rel=1e-7)


def test_a_prompt_of_somebody_else_is_a_pause_in_every_answer():
    limits = {"blocks": 200, "block_tokens": 16, "watermark": 0.0, "max_batch": 8}
    requests = [(0.0, 10, 50), (0.0, 10, 50), (0.2, 900, 2)]
    served = serve(requests, scheduler(limits, chunked=None, max_batched_tokens=1 << 30), LinearTimer())
    found = inter_token_times(RequestColumns.of(served.requests), served.logs, np.array([True, True, False]))
    pause_s = LinearTimer().step(decodes=0, context_sum=0, chunks=[(900, 0)], sampled=1).seconds
    assert found.total == 98
    assert found.total - found.at_most(pause_s) == 2


@given(
    rows=st.lists(
        st.tuples(
            st.floats(1e-3, 10.0), st.sampled_from([0.0, 1e-4, 0.3]), st.integers(0, 6), st.integers(0, 4)
        ),
        min_size=1,
        max_size=12,
    ),
    level=st.floats(0.0, 1.0),
)
def test_progressions_are_the_values_that_they_stand_for(rows, level):
    values = np.sort([a + g * i for a, g, count, weight in rows for i in range(count) for _ in range(weight)])
    found = Progressions.joined(
        [Progressions.runs(*(np.array(column) for column in zip(*rows, strict=True)))]
    )
    assert found.total == len(values)
    if not found.total:
        return
    assert found.mean == pytest.approx(values.mean())
    rank = max(1, int(np.ceil(level * len(values) - 1e-9)))
    assert found.quantiles([level])[0] == pytest.approx(values[rank - 1], rel=1e-9)
    middle = float(np.median(values)) + 1e-7
    assert found.at_most(middle) == np.sum(values <= middle)
