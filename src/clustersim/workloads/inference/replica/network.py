"""What the GPUs of a replica send each other in an engine step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import simpy

from clustersim.collectives import Communicator
from clustersim.collectives.communicator import CollectiveRecord

__all__ = ["SLICES", "Exchange", "NetworkTime", "StepNetwork"]

SLICES = 4
"""Parts that a step on a shared fabric is cut into: computation and exchanges of a quarter of the layers
each, one after the other."""

_KEPT_TIMES = 4096
"""Sizes of steps whose times a replica remembers."""


class NetworkTime(NamedTuple):
    """Seconds on the network, and how they split over resources."""

    seconds: float
    shares: Mapping[str, float]


class Exchange(NamedTuple):
    """A collective that a stage runs in every step, some times one after the other.

    Parameters
    ----------
    communicator
        Over the GPUs that take part; groups that do the same side by side are in lockstep.
    kind
        As `Communicator.alone_s` names it.
    bytes_per_token, bytes_per_sample
        Its size: tokens · bytes_per_token + sampled rows · bytes_per_sample.
    repeats
        How often in a step.
    whole
        Whether it runs once at the end of a step, not layer by layer.
    kernels, kernel_bytes
        Other ways to do it below this size; the fastest is taken.
    """

    communicator: Communicator
    kind: str
    bytes_per_token: float
    repeats: int
    bytes_per_sample: float = 0.0
    whole: bool = False
    kernels: tuple[Communicator, ...] = ()
    kernel_bytes: float = 0.0

    def size_bytes(self, tokens: int, sampled: int) -> float:
        """Return the size in a step."""
        return tokens * self.bytes_per_token + sampled * self.bytes_per_sample

    def repeats_in(self, part: int | None, parts: int) -> int:
        """Return how often it runs in one of several parts of a step; None: in all of it."""
        if part is None:
            return self.repeats
        if self.whole:
            return self.repeats if part == parts - 1 else 0
        return self.repeats * (part + 1) // parts - self.repeats * part // parts

    def fastest(self, size_bytes: float) -> Communicator:
        """Return the communicator that a size goes by."""
        if not self.kernels or size_bytes >= self.kernel_bytes:
            return self.communicator
        candidates = (self.communicator, *self.kernels)
        return min(candidates, key=lambda candidate: candidate.alone_s(self.kind, size_bytes))

    def start(self, communicator: Communicator, size_bytes: float, *, repeat: int, cause: int) -> simpy.Event:
        """Run it on the fabric."""
        if self.kind.startswith("send_recv:"):
            _, source, target = self.kind.split(":")
            return communicator.send_recv(
                size_bytes, source=int(source), target=int(target), repeat=repeat, cause=cause
            )
        starts = {
            "all_reduce": communicator.all_reduce,
            "all_to_all": communicator.all_to_all,
            "all_gather": communicator.all_gather,
            "reduce_scatter": communicator.reduce_scatter,
        }
        return starts[self.kind](size_bytes, repeat=repeat, cause=cause)


class StepNetwork:
    """All exchanges of a replica's steps, by pipeline stage, one after another.

    While nobody else uses the replica's links, the time of a step's exchanges depends on its tokens alone
    and is added to the step in closed form; else they run on the fabric as macro-flows, after the
    computation of the layers that they belong to, in `slices` parts.

    Parameters
    ----------
    stages
        Exchanges of each stage, the sends to the next one included.
    env
        The world's clock.
    closed_form
        False: always on the fabric, as for collectives that are expanded message by message.

    **Valid when** each layer waits for its exchanges, as in Megatron-LM's and vLLM's parallelism. Within a
    slice, the bytes of all its layers move after the computation of all its layers.
    **Checked by:** tests/workloads/test_inference_network.py.
    """

    slices = SLICES

    def __init__(
        self, stages: Sequence[Sequence[Exchange]], *, env: simpy.Environment, closed_form: bool = True
    ) -> None:
        self._stages = tuple(map(tuple, stages))
        self._env = env
        self._closed_form = closed_form
        self._alone: dict[tuple[int, int, int], NetworkTime] = {}
        self._whole: dict[tuple[int, int], NetworkTime] = {}
        self._ways: dict[tuple[str, int, float], Communicator] = {}
        used: dict[int, Communicator] = {}
        for exchange in self._exchanges:
            for communicator in (exchange.communicator, *exchange.kernels):
                communicator.alone_s(exchange.kind, exchange.size_bytes(1, 1))
                used[id(communicator)] = communicator
        self._communicators = list(used.values())

    @property
    def _exchanges(self) -> list[Exchange]:
        return [exchange for stage in self._stages for exchange in stage]

    @property
    def private(self) -> bool:
        """Whether nobody else uses the replica's links, so that closed forms hold."""
        return self._closed_form and all(communicator.private for communicator in self._communicators)

    def on_shared(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the links stop being private."""
        for communicator in self._communicators:
            communicator.on_shared(callback)

    def alone(self, tokens: int, sampled: int = 0) -> NetworkTime:
        """Return the time of the exchanges of one step, all stages, when nobody shares the links.

        Parameters
        ----------
        tokens, sampled
            Tokens of the step, and rows for which the next token is sampled.
        """
        known = self._whole.get((tokens, sampled))
        if known is None:
            if len(self._whole) >= _KEPT_TIMES:
                self._whole.clear()
            times = [self.stage_alone(tokens, stage, sampled) for stage in range(len(self._stages))]
            known = self._whole[tokens, sampled] = NetworkTime(
                sum(time.seconds for time in times), _added(time.shares for time in times)
            )
        return known

    def stage_alone(self, tokens: int, stage: int, sampled: int = 0) -> NetworkTime:
        """Return the time of one stage's exchanges, the send to the next one included."""
        known = self._alone.get((tokens, stage, sampled))
        if known is None:
            if len(self._alone) >= _KEPT_TIMES:
                self._alone.clear()
            seconds, shares = 0.0, []
            for exchange in self._stages[stage]:
                size_bytes = exchange.size_bytes(tokens, sampled)
                communicator = self._way(exchange, size_bytes)
                seconds += exchange.repeats * communicator.alone_s(exchange.kind, size_bytes)
                alone = communicator.alone_shares(exchange.kind, size_bytes)
                shares.append({resource: exchange.repeats * value for resource, value in alone.items()})
            known = self._alone[tokens, stage, sampled] = NetworkTime(seconds, _added(shares))
        return known

    def account(self, tokens: int, steps: int, start_s: float, end_s: float, *, sampled: int = 0) -> None:
        """Book the bytes of steps that were computed in closed form on the links."""
        for exchange in self._exchanges:
            size_bytes = exchange.size_bytes(tokens, sampled)
            self._way(exchange, size_bytes).account(
                exchange.kind,
                size_bytes,
                repeat=exchange.repeats * steps,
                start_s=start_s,
                end_s=end_s,
            )

    def sent(self, tokens: float, sampled: float, steps: float) -> tuple[float, float]:
        """Return bytes that GPUs send and messages that they take part in, over some steps.

        *Equation.* Of each exchange the bus bytes of its size, from every GPU of its groups; and one message
        per GPU each time that it runs. Sizes are linear in tokens, so sums over steps do.

        Parameters
        ----------
        tokens, sampled
            Of all the steps together.

        **Checked by:** tests/workloads/test_inference_needs.py, against what links carried.
        """
        sent_bytes = messages = 0.0
        for exchange in self._exchanges:
            communicator = exchange.communicator
            size_bytes = tokens * exchange.bytes_per_token + sampled * exchange.bytes_per_sample
            senders = communicator.senders(exchange.kind)
            factor = communicator.bus_bytes_factor(exchange.kind)
            sent_bytes += exchange.repeats * senders * factor * size_bytes
            messages += steps * exchange.repeats * communicator.ranks
        return sent_bytes, messages

    def run(self, tokens: int, *, cause: int, part: int | None = None, sampled: int = 0) -> simpy.Event:
        """Start one part of a step's exchanges, or all, on the fabric; the event's value is the record."""
        return self._start(self._exchanges, tokens, sampled, part, cause)

    def run_stage(
        self, tokens: int, stage: int, *, cause: int, part: int | None = None, sampled: int = 0
    ) -> simpy.Event:
        """Start one part of one stage's exchanges, or all, on the fabric; the event's value is the record."""
        return self._start(self._stages[stage], tokens, sampled, part, cause)

    def _start(
        self, exchanges: Sequence[Exchange], tokens: int, sampled: int, part: int | None, cause: int
    ) -> simpy.Event:
        due = [(exchange, exchange.repeats_in(part, self.slices)) for exchange in exchanges]
        due = [(exchange, repeat) for exchange, repeat in due if repeat]
        if len(due) == 1:
            exchange, repeat = due[0]
            return self._begin(exchange, tokens, sampled, repeat, cause)
        return self._env.process(self._one_after_another(due, tokens, sampled, cause))

    def _one_after_another(
        self, due: Sequence[tuple[Exchange, int]], tokens: int, sampled: int, cause: int
    ) -> Generator[simpy.Event, Any, CollectiveRecord]:
        start_s, shares = self._env.now, []
        for exchange, repeat in due:
            record = yield self._begin(exchange, tokens, sampled, repeat, cause)
            cause = record.row
            shares.append(record.shares)
        return CollectiveRecord(cause, start_s, self._env.now, _added(shares))

    def _begin(self, exchange: Exchange, tokens: int, sampled: int, repeat: int, cause: int) -> simpy.Event:
        size_bytes = exchange.size_bytes(tokens, sampled)
        way = self._way(exchange, size_bytes)
        return exchange.start(way, size_bytes, repeat=repeat, cause=cause)

    def _way(self, exchange: Exchange, size_bytes: float) -> Communicator:
        """Return how an exchange of a size is done."""
        key = exchange.kind, id(exchange.communicator), size_bytes
        known = self._ways.get(key)
        if known is None:
            if len(self._ways) >= _KEPT_TIMES:
                self._ways.clear()
            known = self._ways[key] = exchange.fastest(size_bytes)
        return known


def _added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for shares in parts:
        for resource, seconds in shares.items():
            total[resource] = total.get(resource, 0.0) + seconds
    return total
