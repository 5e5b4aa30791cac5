"""Closed loops: clients that wait for their answers."""

from __future__ import annotations

import numpy as np
import pytest
import simpy

from clustersim.spec.lengths import LengthsSpec
from clustersim.workloads.inference.demand.desk import Desk
from clustersim.workloads.inference.demand.lengths import LengthStream, lengths_of
from clustersim.workloads.inference.demand.load import ClosedLoad


def closed_loop(clients, *, think_s=0.0, requests=None, duration_s=None, answer_s=0.1):
    """Clients before a server that answers each request after a constant time."""
    env = simpy.Environment()
    outstanding, most, sent = 0, 0, []

    def send(request):
        nonlocal outstanding, most
        outstanding += 1
        most = max(most, outstanding)
        sent.append(request)
        env.process(answer(request))

    def answer(request):
        nonlocal outstanding
        yield env.timeout(answer_s)
        outstanding -= 1
        request.on_finish(request)

    load = ClosedLoad(
        clients=clients,
        think_s=think_s,
        lengths=LengthStream(lengths_of(LengthsSpec(prompt=5, output=5)), np.random.default_rng(0)),
        streams=np.random.default_rng,
        duration_s=duration_s,
    )
    env.process(load.run(env, Desk.open(send, most=requests)))
    env.run()
    return sent, most


def test_a_closed_loop_never_has_more_outstanding_than_clients():
    sent, most = closed_loop(7, duration_s=10.0)
    assert most == 7
    assert len(sent) == 7 * 101


def test_thinking_clients_send_at_the_rate_of_littles_law():
    sent, most = closed_loop(20, think_s=0.4, duration_s=400.0)
    assert most <= 20
    assert len(sent) / 400.0 == pytest.approx(20 / 0.5, rel=0.03)


def test_a_closed_loop_stops_after_the_requests_asked_for():
    sent, _ = closed_loop(4, requests=10)
    assert [request.index for request in sent] == list(range(10))
