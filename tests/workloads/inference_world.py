"""One replica in a world without a network, for tests."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import simpy

from clustersim.engine.trace import Trace
from clustersim.workloads.inference.engine import ReplicaEngine
from clustersim.workloads.inference.requests import Request


def serve(requests, scheduler, timer, *, skip_ahead=True):
    """Serve (arrival, prompt, output) on one replica of one GPU; return what there is to look at."""
    env = simpy.Environment()
    world = SimpleNamespace(env=env, trace=Trace())
    finishes = Counter()
    engine = ReplicaEngine(
        world,
        name="chat.0",
        scheduler=scheduler,
        timer=timer,
        network=None,
        skip_ahead=skip_ahead,
        on_finish=lambda request: finishes.update([request.index]),
    )
    sent = [Request(index, *request) for index, request in enumerate(requests)]

    def send():
        for request in sent:
            request.replica = 0
            if request.arrival_s > env.now:
                yield env.timeout(request.arrival_s - env.now)
            engine.submit(request)

    env.process(send())
    env.run()
    return SimpleNamespace(
        requests=sent, log=engine.log, trace=world.trace, scheduler=scheduler, finishes=dict(finishes)
    )
