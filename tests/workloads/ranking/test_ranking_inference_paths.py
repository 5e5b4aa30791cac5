"""Critical paths of queries: back over what they waited for, to their arrival."""

from __future__ import annotations

import pytest

from clustersim.engine.trace import COMPUTE, HOST, QUEUEING
from clustersim.workloads.ranking.inference.replica.paths import QueryPaths
from clustersim.workloads.span import Span


def test_a_query_that_waited_for_a_batch_has_that_batch_on_its_path():
    paths = QueryPaths()
    before = Span(None, 0.0, 2.0, {COMPUTE: 2.0})
    own = Span(before, 2.0, 3.0, {HOST: 1.0})
    paths.done(before)
    paths.arrived(1, arrival_s=1.0, now_s=1.0)
    assert paths.left(1) is None
    paths.answered(1, own, arrival_s=1.0, since_s=1.0)
    assert paths.seconds() == pytest.approx({HOST: 1.0, COMPUTE: 1.0})


def test_a_batch_that_filled_up_waited_for_nothing():
    paths = QueryPaths()
    paths.answered(0, Span(None, 3.0, 4.0, {COMPUTE: 1.0}), arrival_s=0.5, since_s=1.0)
    assert paths.seconds() == pytest.approx({HOST: 0.5, COMPUTE: 1.0, QUEUEING: 2.0})


def test_where_clients_wait_for_answers_the_path_goes_on_over_the_arrival():
    paths = QueryPaths()
    first = Span(None, 0.0, 2.0, {COMPUTE: 2.0})
    paths.done(first)
    paths.arrived(1, arrival_s=2.0, now_s=2.5)
    came = paths.left(1)
    assert came is not None
    second = Span(came, 2.5, 3.5, {COMPUTE: 1.0})
    paths.done(second)
    paths.answered(1, second, arrival_s=2.0, since_s=2.5)
    assert paths.seconds() == pytest.approx({COMPUTE: 3.0, HOST: 0.5})


def test_old_batches_are_let_go_of():
    paths = QueryPaths()
    first = last = Span(None, 0.0, 1.0, {COMPUTE: 1.0})
    for n in range(1, 6000):
        last = Span(last, float(n), n + 1.0, {COMPUTE: 1.0})
        paths.done(last)
    chain = 0
    span: Span | None = last
    while span is not None:
        chain, span = chain + 1, span.cause
    assert chain < 5000
    assert first.cause is None
