"""Small training jobs of ranking models for tests: a cluster, a job, a run; and a step by plain loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import simpy

from clustersim.collectives import CollectiveRecord
from clustersim.engine.trace import MEMORY_BANDWIDTH, NETWORK_LATENCY
from clustersim.engine.world import World
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.topology import Topology, build
from clustersim.workloads.ranking.training import RankingTrainingWorkload
from clustersim.workloads.ranking.training.entry import Entry
from clustersim.workloads.ranking.training.interpreter import Interpreter
from clustersim.workloads.ranking.training.pace import Pace
from clustersim.workloads.ranking.training.program import COMPUTE_STREAM, HostMove, Kernels, Program
from clustersim.workloads.ranking.training.work import DENSE_STAGES, StepWork


def cluster(*, nodes: int = 1, node: str = "dgx-a100", **fields: Any) -> Topology:
    spec = {"topology": {"kind": "star", "nodes": nodes, "node": node}, **fields}
    return build(ClusterSpec.model_validate(spec), base=None)


def job(**fields: Any) -> RankingTrainingSpec:
    usual: dict[str, Any] = {
        "kind": "ranking-training",
        "name": "dlrm",
        "model": "dlrm-dcnv2-mlperf",
        "gpus": 8,
        "batch": 2048,
        "precision": "tf32",
        "steps": 3,
    }
    if "duration" in fields:
        del usual["steps"]
    if "global_batch" in fields:
        del usual["batch"]
    return RankingTrainingSpec.model_validate(usual | fields)


def workload(spec: RankingTrainingSpec, topology: Topology) -> RankingTrainingWorkload:
    return RankingTrainingWorkload(spec, topology=topology, gpus=topology.gpus[: spec.gpus])


def run(
    spec: RankingTrainingSpec, topology: Topology | None = None, **options: Any
) -> tuple[RankingTrainingWorkload, World]:
    """Run a job alone to its end."""
    topology = cluster() if topology is None else topology
    world = World(topology, **options)
    made = workload(spec, topology)
    made.start(world)
    world.env.run()
    return made, world


def kernels(seconds: Sequence[float] | float, *, ranks: int, count: float = 1.0) -> Kernels:
    by_rank = np.zeros(ranks) + np.asarray(seconds, dtype=float)
    return Kernels(by_rank, {MEMORY_BANDWIDTH: by_rank}, count)


def step_work(ranks: int, seconds: Callable[[str], Sequence[float] | float], **fields: Any) -> StepWork:
    """A step whose kernels take what a function of their name says, with exchanges of a byte each."""
    matrix = np.ones((ranks, ranks)) - np.eye(ranks)

    def named(key: str) -> Kernels:
        return kernels(seconds(key), ranks=ranks, count=8.0)

    usual: dict[str, Any] = {
        "forward": {stage: named(f"forward {stage}") for stage in DENSE_STAGES},
        "backward": {stage: named(f"backward {stage}") for stage in DENSE_STAGES},
        "lookup": named("lookup"),
        "update": named("update"),
        "optimizer": named("optimizer"),
        "index_bytes": matrix,
        "forward_bytes": (matrix,),
        "backward_bytes": (matrix,),
        "gradient_bytes": {"top": 1e6, "interaction": 4e6, "bottom": 2e6},
        "copy_bytes": 1.0,
    }
    return StepWork(**(usual | fields))


def pace_of(program: Program) -> Pace:
    """Nothing is slow and nothing varies."""
    ones = np.ones(program.ranks)
    random = np.random.default_rng(0)
    return Pace(len(program.tasks), kernel_slowdown=ones, host_slowdown=ones, random=(random, random))


def interpret(
    program: Program, collective_s: Mapping[str, float], *, steps: int
) -> tuple[list[np.ndarray], list[list[Entry]], simpy.Environment]:
    """Run a program with collectives that take given times; return ends of steps by rank, and entries."""
    env = simpy.Environment()
    ends: list[np.ndarray] = []
    told: list[list[Entry]] = []

    def start(entry: Entry) -> simpy.Event:
        done, start_s = env.event(), env.now
        seconds = collective_s[entry.task.key]

        if isinstance(entry.task.work, HostMove):
            value = entry.came_s, entry.came_s + seconds, [{NETWORK_LATENCY: seconds}] * program.ranks
            env.timeout(float(value[1].max()) - start_s).callbacks.append(lambda _: done.succeed(value))
            return done

        def end(_: simpy.Event) -> None:
            shares = {NETWORK_LATENCY: env.now - start_s}
            done.succeed(CollectiveRecord(-1, start_s, env.now, shares))

        env.timeout(seconds).callbacks.append(end)
        return done

    def ended(_: int, entries: Sequence[Entry]) -> None:
        last = [entry for entry in entries if entry.task.stream == COMPUTE_STREAM][-1]
        ends.append(last.end_s)
        told.append(list(entries))

    interpreter = Interpreter(
        env,
        program,
        pace=pace_of(program),
        run=start,
        begins=lambda step, _: step < steps,
        ended=ended,
    )
    interpreter.start()
    env.run()
    return ends, told, env


class Twin:
    """The same by plain recursion, rank by rank: a task of a step ends when its definition says so."""

    def __init__(self, program: Program, collective_s: Callable[[str, int], float], *, steps: int) -> None:
        self.program = program
        self.collective_s = collective_s
        self.order = [
            (place, step)
            for step in range(-program.fill, steps)
            for place, task in enumerate(program.tasks)
            if step + task.ahead >= 0
        ]
        self.number = {each: number for number, each in enumerate(self.order)}
        self.launch_from = cache(self._launch_from)
        self.end = cache(self._end)
        self.came = cache(self._came)

    def step_end(self, step: int, rank: int) -> float:
        return self.end(*self._last_of(step), rank)

    def _last_of(self, step: int) -> tuple[int, int]:
        places = [p for p, task in enumerate(self.program.tasks) if task.stream == COMPUTE_STREAM]
        return places[-1], step

    def _launch_from(self, place: int, step: int, rank: int) -> float:
        number = self.number[place, step]
        if number == 0:
            return 0.0
        before = self.order[number - 1]
        times = [self.launched(*before, rank)]
        if self.program.tasks[before[0]].host_waits:
            times.append(self.end(*before, rank))
        behind = step - self.program.run_ahead
        if before[1] < step and behind >= 0:
            times.append(self.step_end(behind, rank))
        return max(times)

    def launched(self, place: int, step: int, rank: int) -> float:
        return self.launch_from(place, step, rank) + float(self.program.tasks[place].launch_s[rank])

    def _came(self, place: int, step: int, rank: int) -> float:
        task = self.program.tasks[place]
        kernels = task.work.count if isinstance(task.work, Kernels) else 1.0
        share = 1.0 / kernels if kernels > 1 else 1.0
        from_s = self.launch_from(place, step, rank)
        times = [from_s + share * (self.launched(place, step, rank) - from_s)]
        earlier = self.order[: self.number[place, step]]
        on_stream = [each for each in earlier if self.program.tasks[each[0]].stream == task.stream]
        if on_stream:
            times.append(self.end(*on_stream[-1], rank))
        keys = [each.key for each in self.program.tasks]
        for key in task.after:
            other = keys.index(key)
            times.append(self.end(other, step + task.ahead - self.program.tasks[other].ahead, rank))
        return max(times)

    def _end(self, place: int, step: int, rank: int) -> float:
        task = self.program.tasks[place]
        if isinstance(task.work, HostMove):
            return self.came(place, step, rank) + self.collective_s(task.key, step + task.ahead)
        if not isinstance(task.work, Kernels):
            came = [self.came(place, step, each) for each in range(self.program.ranks)]
            return max(came) + self.collective_s(task.key, step + task.ahead)
        seconds = float(task.work.seconds[rank])
        end_s = self.came(place, step, rank) + seconds
        if task.work.count > 1:
            end_s = max(end_s, self.launched(place, step, rank) + seconds / task.work.count)
        return end_s
