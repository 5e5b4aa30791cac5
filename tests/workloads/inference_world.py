"""Replicas in a world without a network, for tests."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import simpy

from clustersim.engine.trace import Trace
from clustersim.workloads.inference.cache.fetch import Loaded
from clustersim.workloads.inference.replica.engine import ReplicaEngine
from clustersim.workloads.inference.replica.pipelined_engine import PipelinedEngine
from clustersim.workloads.inference.requests import Request


class PlainMover:
    """Moves KV blocks one after another, each in the same time."""

    def __init__(self, env, *, swap_s=0.0):
        self._env = env
        self._swap_s = swap_s

    def swap_out(self, blocks):
        return self._env.timeout(blocks * self._swap_s, value=Loaded(-1, {"host": blocks * self._swap_s}))

    swap_in = swap_out


def serve(requests, scheduler, timer, *, skip_ahead=True, mover=None):
    """Serve (arrival, prompt, output) on one replica of one GPU; return what there is to look at."""
    served = serve_replicas(requests, [scheduler], timer, skip_ahead=skip_ahead, mover=mover)
    served.log = served.logs[0]
    served.scheduler = scheduler
    return served


def serve_replicas(requests, schedulers, timer, *, skip_ahead=True, mover=None):
    """Serve (arrival, prompt, output) on several replicas, round robin."""
    sent = [Request(index, *request) for index, request in enumerate(requests)]
    return serve_requests(sent, schedulers, timer, skip_ahead=skip_ahead, mover=mover)


def serve_requests(sent, schedulers, timer, *, skip_ahead=True, mover=None):
    """Serve requests on several replicas, round robin."""
    env = simpy.Environment()
    world = SimpleNamespace(env=env, trace=Trace())
    finishes = Counter()
    engines = [
        (PipelinedEngine if scheduler.pipeline > 1 else ReplicaEngine)(
            world,
            name=f"chat.{index}",
            arrivals_lane="chat/arrivals",
            scheduler=scheduler,
            timer=timer,
            network=None,
            skip_ahead=skip_ahead,
            on_finish=lambda request: finishes.update([request.index]),
            mover=mover(env) if mover else None,
        )
        for index, scheduler in enumerate(schedulers)
    ]

    def send():
        for request in sent:
            request.replica = request.index % len(engines)
            if request.arrival_s > env.now:
                yield env.timeout(request.arrival_s - env.now)
            engines[request.replica].submit(request)

    env.process(send())
    env.run()
    logs = [engine.log for engine in engines]
    return SimpleNamespace(
        requests=sent, logs=logs, trace=world.trace, finishes=dict(finishes), events=next(env._eid)
    )
