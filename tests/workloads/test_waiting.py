"""Time in a queue, by what the server did meanwhile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.workloads.serving.waiting import waited_for

_INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=12)


def columns(intervals):
    begin, length = np.array(intervals, dtype=float).T
    return begin, begin + length


def test_a_waiter_is_kept_by_the_work_that_it_waits_out():
    begin, end = np.array([0.0, 2.0]), np.array([2.0, 6.0])
    found = waited_for(begin, end, since_s=np.array([1.0, 3.0]), until_s=np.array([6.0, 6.0]))
    assert found.times == pytest.approx([0.5, (4.0 + 3.0) / 4.0])
    assert found.idle_s == 0.0


def test_waiting_for_a_server_that_does_nothing_is_idle():
    found = waited_for(np.array([5.0]), np.array([6.0]), since_s=np.array([2.0]), until_s=np.array([5.5]))
    assert found.times == pytest.approx([0.5])
    assert found.idle_s == pytest.approx(3.0)


def test_pieces_that_run_side_by_side_share_a_waiter():
    begin, end = np.array([0.0, 0.0]), np.array([4.0, 4.0])
    found = waited_for(begin, end, since_s=np.array([0.0]), until_s=np.array([4.0]))
    assert found.times == pytest.approx([0.5, 0.5])


@given(work=_INTERVALS, waits=_INTERVALS)
def test_the_split_is_complete_and_equals_one_in_small_steps(work, waits):
    begin, end = columns(work)
    since, until = columns(waits)
    found = waited_for(begin, end, since_s=since, until_s=until)
    split_s = found.times * (end - begin)
    assert split_s.sum() + found.idle_s == pytest.approx((until - since).sum())
    slow_s = np.zeros(len(begin))
    for at in range(50):
        running = (begin <= at) & (at < end)
        waiting = ((since <= at) & (at < until)).sum()
        if running.any():
            slow_s[running] += waiting / running.sum()
    assert split_s == pytest.approx(slow_s)
