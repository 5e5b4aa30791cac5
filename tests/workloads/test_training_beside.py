"""Kernels that a collective slows: the extra time is booked on what the collective takes."""

from __future__ import annotations

import pytest
import simpy

from clustersim.cost.roofline import KernelTime
from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, QUEUEING
from clustersim.workloads.training.kernels import Kernels
from clustersim.workloads.training.pass_shares import PassShares


def booked(collectives, *, until_s=None):
    """Run one second of kernels beside collectives (begin, length, fraction, resource)."""
    env = simpy.Environment()
    kernels = Kernels(env)
    shares = {COMPUTE: 1.0}

    def collective(begin_s, length_s, fraction, resource):
        yield env.timeout(begin_s)
        kernels.begin_beside(fraction)
        yield env.timeout(length_s)
        kernels.end_beside(fraction, {resource: length_s})

    def compute():
        yield kernels.run(1.0)
        kernels.book_slowdown(shares, env.now - 1.0)

    for each in collectives:
        env.process(collective(*each))
    env.process(compute())
    env.run(until=until_s)
    return shares


def test_what_a_collective_slows_is_its_own():
    assert booked([(0.0, 0.5, 0.2, "link")]) == pytest.approx({COMPUTE: 1.0, "link": 0.1})


def test_several_share_by_what_they_took():
    shares = booked([(0.0, 0.4, 0.1, "near"), (0.0, 0.8, 0.1, "far")])
    assert shares["far"] == pytest.approx(2 * shares["near"])
    assert shares["far"] + shares["near"] == pytest.approx(0.1 * 0.4 + 0.1 * 0.8)


def test_until_a_collective_has_ended_the_time_that_it_took_is_waiting():
    beside = [(0.0, 5.0, 0.5, "link")]
    assert booked(beside, until_s=3.0) == pytest.approx({COMPUTE: 1.0, QUEUEING: 1.0})
    assert booked(beside) == pytest.approx({COMPUTE: 1.0, "link": 1.0})


def test_a_stretch_that_launches_hold_up_is_the_hosts_even_where_it_was_taken_before():
    book = PassShares()
    book.kernels(KernelTime(1.0, 2.0))
    first = book.take()
    assert first == {COMPUTE: 1.0, MEMORY_BANDWIDTH: 2.0}
    book.message({"link": 0.5})
    book.settle(idle_s=0.25, restart_s=0.125)
    assert first == {HOST: 3.0}
    assert book.take() == {HOST: 0.5 + 0.25 + 0.125}


def test_a_stretch_that_the_device_sets_keeps_its_shares():
    book = PassShares()
    book.kernels(KernelTime(1.0, 2.0))
    book.settle(idle_s=0.0)
    assert book.take() == {COMPUTE: 1.0, MEMORY_BANDWIDTH: 2.0}


def test_kernels_that_a_longer_message_covers_do_not_count_products_first():
    book = PassShares()
    book.kernels(KernelTime(1.0, 2.0), covered_s=1.5)
    assert book.take() == {MEMORY_BANDWIDTH: 1.5}
