"""Pools of ranking replicas without a cluster, and a plain loop that does the same, for tests."""

from __future__ import annotations

import heapq
from types import SimpleNamespace

import numpy as np
import simpy

from clustersim.cost.roofline import KernelTime
from clustersim.spec.scenario import Scenario
from clustersim.workloads.ranking.inference.pool import RankingPool
from clustersim.workloads.ranking.inference.replica.profile import BatchProfile, Host, Kernels
from clustersim.workloads.ranking.inference.replica.rules import Rules
from clustersim.workloads.ranking.inference.replica.worker import Device, Worker


class SizeTimer:
    """Batches that take a given time for their samples."""

    def __init__(self, seconds_of, *, host_s=0.0):
        self._seconds_of = seconds_of
        self._host_s = host_s
        self.profiles = []

    def profile(self, samples, queries):
        """Return a new profile each time, so that times may be drawn."""
        seconds = self._seconds_of(samples)
        made = BatchProfile(
            number=len(self.profiles),
            steps=(Host(self._host_s), Kernels(KernelTime(compute_s=seconds))),
            shares={"host": self._host_s, "compute": seconds},
            device_s=seconds,
        )
        self.profiles.append(made)
        return made


def serve(queries, timer, *, replicas=1, devices=1, instances=1, routing="round-robin", until=None, **rules):
    """Serve (arrival, samples) on a pool of its own; return the pool and the order of answers."""
    env = simpy.Environment()
    answered = []
    pool = RankingPool(
        env,
        workers=[_workers(devices, instances) for _ in range(replicas)],
        timers=[timer] * replicas,
        rules=Rules(**rules),
        routing=routing,
        answered=answered.append,
        streams=lambda source: np.random.default_rng(1),
    )

    def send():
        for arrival_s, samples in queries:
            if arrival_s > env.now:
                yield env.timeout(arrival_s - env.now)
            pool.submit(env.now, samples)

    env.process(send())
    env.run(until=until)
    return SimpleNamespace(pool=pool, answered=answered, env=env, timer=timer)


def _workers(devices, instances):
    made = [Device((), {}, workers=instances) for _ in range(devices)]
    return [
        Worker(turn * devices + place, device)
        for turn in range(instances)
        for place, device in enumerate(made)
    ]


def plainly_served(queries, seconds_of, *, workers, max_samples, max_delay_s=0.0, split=None):
    """Return the end of each query and the batches (start, samples), by a loop over points in time."""
    largest = max_samples if split is None else split
    events = [(arrival_s, 1, number) for number, (arrival_s, _) in enumerate(queries)]
    heapq.heapify(events)
    waiting, idle = [], workers
    left, ends, batches, running = {}, {}, [], {}
    while events:
        now_s, kind, number = heapq.heappop(events)
        if kind == 0:
            idle += 1
            for query, _, _ in running.pop(number):
                left[query] -= 1
                if not left[query]:
                    ends[query] = now_s
        elif kind == 1:
            samples = queries[number][1]
            parts = [largest] * (samples // largest) + [samples % largest] * (samples % largest > 0)
            left[number] = len(parts)
            waiting += [(number, part, now_s) for part in parts]
            if max_delay_s:
                heapq.heappush(events, (now_s + max_delay_s, 2, number))
        while idle and waiting:
            total = sum(part for _, part, _ in waiting)
            if max_delay_s and total < max_samples and waiting[0][2] + max_delay_s > now_s:
                break
            most = max_samples if split is None else min(max_samples, -(-total // idle))
            taken = [waiting.pop(0)]
            while waiting and sum(part for _, part, _ in taken) + waiting[0][1] <= most:
                taken.append(waiting.pop(0))
            samples = sum(part for _, part, _ in taken)
            batches.append((now_s, samples))
            idle -= 1
            running[len(batches)] = taken
            heapq.heappush(events, (now_s + seconds_of(samples), 0, len(batches)))
    return [ends[number] for number in range(len(queries))], batches


def ranking_scenario(*, nodes=1, node="dgx-a100", speeds=None, seed=0, trace=False, extra=(), **fields):
    """Return a scenario with one ranking service."""
    service = {
        "name": "feed",
        "kind": "ranking-inference",
        "model": "dlrm-nvidia-4b",
        "embeddings": {"kind": "local", "precision": "fp16"},
        "arrivals": {"kind": "poisson", "rate": "2000 qps"},
        "candidates": {"kind": "quantiles"},
        "queries": 500,
        **fields,
    }
    if service["arrivals"]["kind"] == "trace":
        del service["candidates"], service["queries"]
    cluster = {
        "topology": {"kind": "star", "nodes": nodes, "node": node},
        "fabric": {"link": "infiniband-hdr"},
        **({"speeds": speeds} if speeds else {}),
    }
    return Scenario.from_dict(
        {
            "name": "ranking",
            "seed": seed,
            "cluster": cluster,
            "run": {"trace": trace},
            "workloads": [service, *extra],
        }
    )
