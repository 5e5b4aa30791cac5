"""Schedules run by the plainest means: every stage works through its list as inputs arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from clustersim.errors import InputError
from clustersim.workloads.training.schedules.passes import Order, Pass, PassKind

__all__ = ["Timed", "execute", "makespan"]

_Key = tuple[PassKind, int, int]
"""Kind, micro-batch and place in the model of a pass."""


class Timed(NamedTuple):
    """A pass with its time."""

    item: Pass
    start_s: float
    end_s: float


def execute(
    orders: Sequence[Order], *, seconds: Callable[[int, Pass], float], p2p_s: float = 0.0
) -> tuple[tuple[Timed, ...], ...]:
    """Run the orders of all stages, and return every stage's passes with their times.

    Parameters
    ----------
    seconds
        Length of a pass on a stage.
    p2p_s
        From the end of a pass to the arrival of its result at another stage; stages do not wait for it,
        and transfers do not share anything.

    Raises
    ------
    InputError
        If stages wait for each other for ever: which, and for what.

    **Checked by:** tests/workloads/test_training_schedules.py, by the bubbles' closed forms.
    """
    run = _Run(orders, seconds, p2p_s)
    ready = deque(range(len(orders)))
    while ready:
        ready.extend(run.advance(ready.popleft()))
    if run.waiting:
        raise InputError("\n".join(run.stuck()))
    return tuple(map(tuple, run.done))


def makespan(
    orders: Sequence[Order],
    *,
    forward_s: float,
    backward_s: float,
    weight_s: float = 0.0,
    p2p_s: float = 0.0,
) -> float:
    """Return the time from the first pass to the end of the last one, for stages that are alike.

    `backward_s` is the pass of the kind `backward`: with weight gradients unless the orders have weight
    passes.
    """
    length = {"forward": forward_s, "backward": backward_s, "weight": weight_s}
    timed = execute(orders, seconds=lambda _, item: length[item.kind], p2p_s=p2p_s)
    return max((passes[-1].end_s for passes in timed if passes), default=0.0)


class _Run:
    """How far every stage has come, and which stage waits for what."""

    def __init__(self, orders: Sequence[Order], seconds: Callable[[int, Pass], float], p2p_s: float) -> None:
        self._orders, self._seconds, self._p2p_s = orders, seconds, p2p_s
        self._stages = len(orders)
        chunks = 1 + max((item.chunk for order in orders for item in order), default=0)
        self._last = self._stages * chunks - 1
        self._ended: dict[_Key, float] = {}
        self.done: list[list[Timed]] = [[] for _ in orders]
        self.waiting: dict[_Key, int] = {}

    def advance(self, stage: int) -> Iterator[int]:
        """Run a stage's passes as far as their inputs exist; yield the stages that waited for one."""
        done = self.done[stage]
        for item in self._orders[stage][len(done) :]:
            needed = list(self._needs(item, stage))
            missing = next((key for key in needed if key not in self._ended), None)
            if missing is not None:
                self.waiting[missing] = stage
                return
            start_s = max((self._arrival_s(key, stage) for key in needed), default=0.0)
            start_s = max(start_s, done[-1].end_s) if done else start_s
            done.append(Timed(item, start_s, start_s + self._seconds(stage, item)))
            key = (item.kind, item.micro_batch, item.chunk * self._stages + stage)
            self._ended[key] = done[-1].end_s
            if key in self.waiting:
                yield self.waiting.pop(key)

    def stuck(self) -> Iterator[str]:
        """Say what each waiting stage waits for."""
        for (kind, micro_batch, place), stage in sorted(self.waiting.items(), key=lambda entry: entry[1]):
            item = self._orders[stage][len(self.done[stage])]
            yield (
                f"the schedule stops: stage {stage} has {item.kind} of micro-batch {item.micro_batch}, chunk "
                f"{item.chunk} next, which waits for {kind} of micro-batch {micro_batch}, chunk "
                f"{place // self._stages} on stage {place % self._stages}"
            )

    def _arrival_s(self, key: _Key, stage: int) -> float:
        return self._ended[key] + (self._p2p_s if key[2] % self._stages != stage else 0.0)

    def _needs(self, item: Pass, stage: int) -> Iterator[_Key]:
        place = item.chunk * self._stages + stage
        if item.kind == "weight":
            yield "backward", item.micro_batch, place
        elif item.kind == "backward":
            yield "forward", item.micro_batch, place
            if place < self._last:
                yield "backward", item.micro_batch, place + 1
        elif place:
            yield "forward", item.micro_batch, place - 1
