"""The interpreter: one lane runs its program on the clock."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Protocol

import simpy

from clustersim.engine.trace import QUEUEING
from clustersim.workloads.span import Span
from clustersim.workloads.training.kernels import Kernels
from clustersim.workloads.training.ledger import (
    CATEGORY_OF_DIMENSION,
    CATEGORY_OF_PASS,
    Ledger,
    PassRecord,
)
from clustersim.workloads.training.meeting import Meeting, Stream
from clustersim.workloads.training.pace import Pace
from clustersim.workloads.training.program import (
    Await,
    Booked,
    Compute,
    Launch,
    Lesson,
    Load,
    Program,
    Receive,
    Send,
)
from clustersim.workloads.training.techniques.loading import Feed
from clustersim.workloads.training.techniques.teacher import Lessons

__all__ = ["Lane", "Surroundings"]

_ROUNDING = 1e-10
"""Relative: a stretch this near to its nominal time took it (sums of times are rounded)."""


class Surroundings(Protocol):
    """What a lane asks for: meetings with others, and to be written down."""

    def collective(self, lane: Lane, launch: Launch) -> tuple[Meeting, Stream]:
        """Return where a lane meets others for a collective."""

    def send(self, lane: Lane, send: Send) -> tuple[Meeting, Stream]:
        """Return what a lane sends to another stage."""

    def expect(self, lane: Lane, receive: Receive) -> Meeting:
        """Return what another stage sends, begun or not."""

    def book(self, lane: Lane, booked: tuple[Booked, ...], start_s: float, end_s: float) -> None:
        """Put collectives that a pass contains on the links' meters."""

    def record(
        self, lane: Lane, compute: Compute, start_s: float, end_s: float, shares: Mapping[str, float]
    ) -> int:
        """Write a stretch of kernels into the trace; return its row."""

    def record_stall(
        self, lane: Lane, load: Load, start_s: float, end_s: float, shares: Mapping[str, float]
    ) -> int:
        """Write a wait for samples into the trace; return its row."""


class Lane:
    """Ranks in lockstep: one stage of one replica, or of as many as share experts or parameters.

    Kernels that nothing can disturb cost no event of their own: the clock moves on when the lane next
    meets others.

    Parameters
    ----------
    stage, replica
        Which lane.
    surroundings
        The job.
    """

    def __init__(
        self, env: simpy.Environment, *, stage: int, replica: int, surroundings: Surroundings
    ) -> None:
        self.env = env
        self.stage = stage
        self.replica = replica
        self.kernels = Kernels(env)
        self.ledger = Ledger()
        self.pending = 0
        self.last: Span | None = None
        self.end_s = 0.0
        self.feed: Feed | None = None
        self.lessons: Lessons | None = None
        self._job = surroundings
        self._launched: dict[str, Meeting] = {}
        self._passes = 0
        self._pass: tuple[str, int, int] | None = None

    def run(self, program: Program, pace: Pace) -> Generator[simpy.Event, Any, None]:
        """Run one iteration."""
        env, job = self.env, self._job
        self.ledger = Ledger()
        self._launched = {}
        self._passes, self._pass = -1, None
        ahead_s = 0.0
        for instruction in program:
            if isinstance(instruction, Compute):
                seconds = self._seconds(instruction, pace)
                if self.pending:
                    start_s = env.now
                    part = 1.0 - instruction.exposed_s / seconds if seconds else 1.0
                    yield self.kernels.run(seconds, kernels_part=part)
                    self._computed(instruction, pace, start_s, env.now)
                else:
                    start_s = env.now + ahead_s
                    ahead_s += seconds
                    self._computed(instruction, pace, start_s, env.now + ahead_s)
                continue
            if ahead_s:
                yield env.timeout(ahead_s)
                ahead_s = 0.0
            if isinstance(instruction, Receive):
                meeting = job.expect(self, instruction)
                if meeting.span is None:
                    yield from self._wait(meeting, "pipeline")
            elif isinstance(instruction, Send):
                meeting, stream = job.send(self, instruction)
                self._launched[instruction.key] = meeting
                stream.join(meeting, self)
            elif isinstance(instruction, Launch):
                self._launch(instruction)
            elif isinstance(instruction, Lesson):
                yield from self._learn(instruction)
            elif isinstance(instruction, Load):
                yield from self._load(instruction)
            else:
                yield from self._await(instruction)
        if ahead_s:
            yield env.timeout(ahead_s)
        self.end_s = env.now

    # ---- kernels

    def _seconds(self, compute: Compute, pace: Pace) -> float:
        """Return how long a stretch takes alone at the pace of the lane's slowest rank."""
        if compute[0] != "optimizer" and (compute[0], compute[4], compute[5]) != self._pass:
            self._pass = compute[0], compute[4], compute[5]
            self._passes += 1
        factor = self._slowest(compute, pace)
        if factor == 1.0:
            return compute.seconds
        exposed_s = compute.exposed_s
        return exposed_s + (compute.seconds - exposed_s) * factor

    def _slowest(self, compute: Compute, pace: Pace) -> float:
        if compute[0] == "optimizer":
            return pace.update_slowest
        return pace.slowest[self._passes] if pace.slowest else 1.0

    def _mean(self, compute: Compute, pace: Pace) -> float:
        if compute[0] == "optimizer":
            return pace.update_mean
        return pace.mean[self._passes] if pace.mean else 1.0

    def _computed(self, compute: Compute, pace: Pace, start_s: float, end_s: float) -> None:
        """Write down a stretch that has ended."""
        ledger, took_s = self.ledger, end_s - start_s
        seconds = ledger.seconds
        for item in compute.booked:
            seconds[CATEGORY_OF_DIMENSION[item.dimension]] += item.exposed_s
            ledger.communication_s += item.exposed_s
            took_s -= item.exposed_s
        slowest = self._slowest(compute, pace)
        if slowest != 1.0:
            mean = self._mean(compute, pace)
            seconds["waiting_s"] += took_s * (1.0 - mean / slowest)
            took_s *= mean / slowest
            host_s = compute.host_s * mean
        else:
            host_s = compute.host_s
        seconds["host_s"] += host_s
        seconds["compute_s"] += took_s - host_s
        ledger.kernels[CATEGORY_OF_PASS[compute.kind]] += took_s
        if compute.booked:
            self._job.book(self, compute.booked, start_s, end_s)
        shares = compute.shares
        if abs(end_s - start_s - compute.seconds) > _ROUNDING * compute.seconds:
            shares = self._stretched(compute, end_s - start_s, slowest)
        row = self._job.record(self, compute, start_s, end_s, shares)
        self.last = Span(self.last, start_s, end_s, shares, row)
        ledger.passes.append(PassRecord(compute.kind, compute.micro_batch, compute.chunk, start_s, end_s))

    def _stretched(self, compute: Compute, took_s: float, slowest: float) -> Mapping[str, float]:
        """Split a stretch that took longer: by its slowest rank, and by collectives beside it."""
        alone_s = compute.exposed_s + (compute.seconds - compute.exposed_s) * slowest
        slowed_s = took_s - alone_s
        by_others = slowed_s > _ROUNDING * took_s
        part = (alone_s if by_others else took_s) / compute.seconds if compute.seconds else 0.0
        shares = {resource: part * share for resource, share in compute.shares.items()}
        if by_others:
            self.kernels.book_slowdown(shares, slowed_s)
        return shares

    # ---- samples

    def _load(self, load: Load) -> Generator[simpy.Event, Any, None]:
        """Take the samples of a micro-batch; wait for them if they are late."""
        assert self.feed is not None
        start_s = self.env.now
        there_s = self.feed.take(start_s, self.last)
        if there_s > start_s:
            yield self.env.timeout(there_s - start_s)
            end_s = self.env.now
            self.ledger.seconds["data_stall_s"] += end_s - start_s
            self._job.record_stall(self, load, start_s, end_s, {QUEUEING: end_s - start_s})
            self.last = self.feed.last

    def _learn(self, lesson: Lesson) -> Generator[simpy.Event, Any, None]:
        """Wait for the teacher."""
        assert self.lessons is not None
        start_s = self.env.now
        yield from self.lessons.take()
        end_s = self.env.now
        if end_s > start_s:
            self.ledger.seconds["waiting_s"] += end_s - start_s
            shares = {QUEUEING: end_s - start_s}
            load = Load(lesson.micro_batch)
            row = self._job.record_stall(self, load, start_s, end_s, shares)
            self.last = Span(self.last, start_s, end_s, shares, row)

    # ---- meetings

    def _launch(self, launch: Launch) -> None:
        meeting, stream = self._job.collective(self, launch)
        self._launched[launch.key] = meeting
        before = self._launched[launch.after] if launch.after else None
        if before is None or before.span is not None:
            stream.join(meeting, self)
        else:
            before.wait(self.env).callbacks.append(lambda _: stream.join(meeting, self))

    def _await(self, instruction: Await) -> Generator[simpy.Event, Any, None]:
        meeting = self._launched[instruction.key]
        if meeting.span is None:
            yield from self._wait(meeting, meeting.dimension)

    def _wait(self, meeting: Meeting, dimension: str) -> Generator[simpy.Event, Any, None]:
        """Wait for the end of a meeting; say what for."""
        start_s = self.env.now
        yield meeting.wait(self.env)
        end_s = self.env.now
        seconds = self.ledger.seconds
        if dimension == "pipeline":
            own_s = others_s = max(start_s, min(end_s, meeting.came_s))
        else:
            own_s = max(start_s, min(end_s, meeting.came_of_s(self.replica)))
            others_s = max(own_s, min(end_s, meeting.came_s))
        seconds["bubble_s"] += own_s - start_s
        seconds["waiting_s"] += others_s - own_s
        seconds[CATEGORY_OF_DIMENSION[dimension]] += end_s - others_s
        self.last = meeting.span
