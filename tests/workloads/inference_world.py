"""Replicas in a world without a network, for tests."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import simpy

from clustersim.engine.trace import Trace
from clustersim.workloads.inference.replica.engine import ReplicaEngine
from clustersim.workloads.inference.requests import Request


def serve(requests, scheduler, timer, *, skip_ahead=True):
    """Serve (arrival, prompt, output) on one replica of one GPU; return what there is to look at."""
    served = serve_replicas(requests, [scheduler], timer, skip_ahead=skip_ahead)
    served.log = served.logs[0]
    served.scheduler = scheduler
    return served


def serve_replicas(requests, schedulers, timer, *, skip_ahead=True):
    """Serve on several replicas, round robin."""
    env = simpy.Environment()
    world = SimpleNamespace(env=env, trace=Trace())
    finishes = Counter()
    engines = [
        ReplicaEngine(
            world,
            name=f"chat.{index}",
            arrivals_lane="chat/arrivals",
            scheduler=scheduler,
            timer=timer,
            network=None,
            skip_ahead=skip_ahead,
            on_finish=lambda request: finishes.update([request.index]),
        )
        for index, scheduler in enumerate(schedulers)
    ]
    sent = [Request(index, *request) for index, request in enumerate(requests)]

    def send():
        for request in sent:
            request.replica = request.index % len(engines)
            if request.arrival_s > env.now:
                yield env.timeout(request.arrival_s - env.now)
            engines[request.replica].submit(request)

    env.process(send())
    env.run()
    logs = [engine.log for engine in engines]
    return SimpleNamespace(requests=sent, logs=logs, trace=world.trace, finishes=dict(finishes))
