"""Days of a training job, event by event: failures, recovery, nodes that leave and come back."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import simpy

from clustersim.workloads.training.reliability.account import Account, Stay
from clustersim.workloads.training.reliability.failures import SOFTWARE, Failure, draw_failures
from clustersim.workloads.training.reliability.model import ReliabilityModel
from clustersim.workloads.training.reliability.nodes import NodePool
from clustersim.workloads.training.reliability.stretch import Stretch

__all__ = ["Days", "simulate_days"]

Phase = Literal["training", "checkpoint", "detection", "restart", "waiting"]
Steps = Generator[simpy.Event, Any, Failure | None]
"""A phase as a process; it returns the failure that ended it early."""


@dataclass(frozen=True, eq=False)
class Days:
    """A period of one job under the failures of one seed.

    Parameters
    ----------
    stays
        What the job did, one after the other, from the beginning to the end.
    failures
        Those that stopped the job.
    """

    model: ReliabilityModel
    days_s: float
    seed: int
    stays: Sequence[Stay]
    failures: Sequence[Failure]

    @cached_property
    def account(self) -> Account:
        """What the time went to."""
        account = Account()
        for stay in self.stays:
            account.add(stay.account)
        return account

    @property
    def goodput(self) -> float:
        """Useful time over all time."""
        return self.account.useful_s / self.days_s

    @property
    def node_failures(self) -> int:
        """Failures that took a node out."""
        return sum(failure.node != SOFTWARE for failure in self.failures)

    @property
    def restarts(self) -> int:
        """How often the job started again, planned restarts to take nodes in included."""
        return sum(stay.phase == "restart" for stay in self.stays)


def simulate_days(model: ReliabilityModel, *, days_s: float, seed: int) -> Days:
    """Let days of a training job pass.

    Iterations and checkpoints are not events: between failures their number follows from the time
    (`Stretch`), so that 30 days take as many events as there are failures, repairs and restarts.

    Parameters
    ----------
    days_s
        The period.
    seed
        Of failures and repairs.

    **Valid when** an iteration takes the same time all along, failures stop the whole job (synchronous
    training), the job begins with all nodes, and with fewer replicas the batch shrinks with them, so that an
    iteration takes as long as before.
    **Checked by:** tests/workloads/test_training_reliability.py: Daly's closed form, a walk through every
    checkpoint, all time accounted for.
    """
    env = simpy.Environment()
    job = _Job(env, model)
    source = _Source(job, draw_failures(model, days_s=days_s, seed=seed))
    env.process(source.run())
    env.run(until=days_s)
    job.close()
    return Days(model, days_s, seed, tuple(job.stays), tuple(source.felt))


class _Source:
    """Failures of the cluster; those of places without a node are not felt."""

    def __init__(self, job: _Job, failures: Sequence[Failure]) -> None:
        self._job = job
        self._failures = failures
        self.felt: list[Failure] = []

    def run(self) -> Generator[simpy.Event, Any, None]:
        """Fail, one after the other."""
        job = self._job
        for failure in self._failures:
            yield job.env.timeout(max(failure.at_s - job.env.now, 0.0))
            if failure.node == SOFTWARE:
                if job.phase == "waiting":
                    continue
            elif not job.pool.holds(failure.node):
                continue
            else:
                job.pool.fail(failure.node, repair_s=failure.repair_s)
            self.felt.append(failure)
            job.process.interrupt(failure)


class _Job:
    """The job as a process: it trains until something happens, and gets back to training."""

    def __init__(self, env: simpy.Environment, model: ReliabilityModel) -> None:
        self.env = env
        self.model = model
        self.pool = NodePool(env, model, returned=self._node_returned)
        self.stays: list[Stay] = []
        self.phase: Phase = "training"
        self._since_s = 0.0
        self._stretch = Stretch(model.interval_s, model.stall_s, model.write_s)
        self.process = env.process(self._run())

    def close(self) -> None:
        """Account for the phase that the period ends in; what was computed in it counts."""
        if self.phase == "training":
            self._end_training(kept=True)
        else:
            self._end(self.phase)

    def _run(self) -> Generator[simpy.Event, Any, None]:
        while True:
            failure = yield from self._train()
            if failure is None:
                failure = yield from self._start_again()
            while failure is not None:
                failure = yield from self._recover()

    def _train(self) -> Steps:
        """Train until a failure, or until a node came back that allows for more replicas."""
        self._begin("training")
        try:
            yield self.env.event()
        except simpy.Interrupt as interrupt:
            if isinstance(interrupt.cause, Failure):
                self._end_training(kept=False)
                return interrupt.cause
        elapsed_s = self.env.now - self._since_s
        stay = self._end_training(kept=True)
        failure = yield from self._spend("checkpoint", self.model.stall_s + self.model.write_s)
        if failure is not None:
            self._take_back(stay, elapsed_s)
        return failure

    def _recover(self) -> Steps:
        failure = yield from self._spend("detection", self.model.detection_s)
        return failure if failure is not None else (yield from self._start_again())

    def _start_again(self) -> Steps:
        yield from self._gather_nodes()
        return (yield from self._spend("restart", self.model.restart_s + self.model.load_s))

    def _gather_nodes(self) -> Generator[simpy.Event, Any, None]:
        """Fill empty places from spares; wait, or give replicas up, where there are too few."""
        while True:
            self.pool.fill()
            if self.model.without_spare == "shrink":
                self.pool.shrink()
                self.pool.grow()
            if self.pool.complete:
                return
            self._begin("waiting")
            try:
                yield self.env.event()
            except simpy.Interrupt:
                self._end("waiting")

    def _spend(self, phase: Phase, seconds: float) -> Steps:
        """Let time pass that only a failure cuts short."""
        self._begin(phase)
        end_s = self.env.now + seconds
        failure = None
        while failure is None and self.env.now < end_s:
            try:
                yield self.env.timeout(end_s - self.env.now)
                break
            except simpy.Interrupt as interrupt:
                failure = interrupt.cause if isinstance(interrupt.cause, Failure) else None
        self._end(phase)
        return failure

    def _node_returned(self) -> None:
        growing = self.phase == "training" and self.model.without_spare == "shrink" and self.pool.can_grow()
        if self.phase == "waiting" or growing:
            self.process.interrupt("a node came back")

    def _begin(self, phase: Phase) -> None:
        self.phase = phase
        self._since_s = self.env.now

    def _end(self, phase: Phase) -> None:
        self._book(Account(**{f"{phase}_s": self.env.now - self._since_s}))

    def _end_training(self, *, kept: bool) -> Stay:
        elapsed_s = self.env.now - self._since_s
        work_s, rate = self._stretch.work_s(elapsed_s), self.pool.rate
        kept_s = work_s if kept else self._stretch.kept_s(elapsed_s)
        return self._book(
            Account(
                useful_s=kept_s * rate,
                lost_s=(work_s - kept_s) * rate,
                checkpoint_s=elapsed_s - work_s,
                reduced_s=work_s * (1.0 - rate),
            )
        )

    def _take_back(self, stay: Stay, elapsed_s: float) -> None:
        """Count as lost what a checkpoint that failed would have kept."""
        work_s, kept_s = self._stretch.work_s(elapsed_s), self._stretch.kept_s(elapsed_s)
        lost_s = stay.account.useful_s * (work_s - kept_s) / work_s if work_s else 0.0
        stay.account.useful_s -= lost_s
        stay.account.lost_s += lost_s

    def _book(self, account: Account) -> Stay:
        stay = Stay(self.phase, self._since_s, self.env.now, account)
        self.stays.append(stay)
        return stay
