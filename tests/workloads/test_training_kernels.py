"""Kernels beside collectives: slower for exactly as long as those run."""

from __future__ import annotations

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from clustersim.workloads.training.kernels import Kernels


def end_s(seconds: float, beside: list[tuple[float, float, float]]) -> float:
    """End of kernels beside collectives given as (begin, length, fraction)."""
    env = simpy.Environment()
    kernels = Kernels(env)

    def collective(begin_s: float, length_s: float, fraction: float):
        yield env.timeout(begin_s)
        kernels.begin_beside(fraction)
        yield env.timeout(length_s)
        kernels.end_beside(fraction, {"network": length_s})

    for each in beside:
        env.process(collective(*each))
    ended = []

    def compute():
        yield kernels.run(seconds)
        ended.append(env.now)

    env.process(compute())
    env.run()
    return ended[0]


def test_alone_kernels_take_their_time():
    assert end_s(2.0, []) == 2.0


def test_kernels_are_slower_only_while_a_collective_runs():
    assert end_s(2.0, [(0.5, 1.0, 0.25)]) == pytest.approx(2.25)
    assert end_s(2.0, [(5.0, 1.0, 0.25)]) == 2.0


def test_collectives_at_once_take_their_sum():
    assert end_s(1.0, [(0.0, 9.0, 0.25), (0.0, 9.0, 0.25)]) == pytest.approx(2.0)


def test_kernels_always_go_on():
    assert end_s(1.0, [(0.0, 99.0, 0.6), (0.0, 99.0, 0.6)]) == pytest.approx(10.0)


def test_communication_within_kernels_is_not_slowed():
    env = simpy.Environment()
    kernels = Kernels(env)
    kernels.begin_beside(0.5)
    env.run(until=kernels.run(4.0, kernels_part=0.25))
    assert env.now == pytest.approx(3.0 + 2 * 1.0)


_BESIDE = st.tuples(st.floats(0, 3), st.floats(0.01, 3), st.floats(0.05, 0.3))


@given(seconds=st.floats(0.1, 5), beside=st.lists(_BESIDE, max_size=3))
def test_the_end_is_that_of_the_integral_of_the_rate(seconds, beside):
    marks = sorted({0.0, *(t for begin, length, _ in beside for t in (begin, begin + length))})
    now, left = 0.0, seconds
    for begin, end in zip(marks, [*marks[1:], float("inf")], strict=True):
        rate = 1.0 - sum(part for start, length, part in beside if start <= begin < start + length)
        if left <= (end - begin) * rate:
            now = begin + left / rate
            break
        left -= (end - begin) * rate
    assert end_s(seconds, beside) == pytest.approx(now, rel=1e-9)
