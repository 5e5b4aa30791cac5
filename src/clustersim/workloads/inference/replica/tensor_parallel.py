"""The all-reduces of a tensor-parallel replica: two after each layer, in every engine step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import simpy

from clustersim.collectives import Communicator

__all__ = ["NetworkTime", "TensorParallel"]

_KIND = "all_reduce"


class NetworkTime(NamedTuple):
    """Seconds on the network, and how they split over resources."""

    seconds: float
    shares: Mapping[str, float]


class TensorParallel:
    """Communication of one replica's GPUs: per step, `repeats` equal all-reduces one after another.

    While nobody else uses the replica's links, the time of a step's all-reduces depends on its
    tokens alone and is added to the step in closed form; else they run on the fabric as one
    macro-flow after the step's computation.

    *Equation.* Bytes of each all-reduce: tokens · hidden · bytes per element.

    Parameters
    ----------
    communicator
        Over the replica's GPUs.
    bytes_per_token
        hidden · bytes per element.
    repeats
        All-reduces per step: twice the layers.
    closed_form
        False: always on the fabric, as for collectives that are expanded message by message.

    Valid when each layer waits for its all-reduces, as in Megatron-LM's and vLLM's tensor
    parallelism. In a step on the fabric the bytes of all layers move after the computation of
    all layers: right for the time of the step alone, coarse for how they meet other flows
    within it.
    """

    def __init__(
        self, communicator: Communicator, *, bytes_per_token: float, repeats: int, closed_form: bool = True
    ) -> None:
        self._communicator = communicator
        self._bytes_per_token = bytes_per_token
        self._repeats = repeats
        self._closed_form = closed_form
        self._alone: dict[int, NetworkTime] = {}
        communicator.alone_s(_KIND, bytes_per_token)

    @property
    def private(self) -> bool:
        """Whether nobody else uses the replica's links, so that closed forms hold."""
        return self._closed_form and self._communicator.private

    def on_shared(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the links stop being private."""
        self._communicator.on_shared(callback)

    def alone(self, tokens: int) -> NetworkTime:
        """Return the time of the all-reduces of one step of `tokens` when nobody shares the links."""
        known = self._alone.get(tokens)
        if known is None:
            size_bytes = tokens * self._bytes_per_token
            shares = self._communicator.alone_shares(_KIND, size_bytes)
            known = self._alone[tokens] = NetworkTime(
                self._repeats * self._communicator.alone_s(_KIND, size_bytes),
                {resource: self._repeats * seconds for resource, seconds in shares.items()},
            )
        return known

    def account(self, tokens: int, steps: int, start_s: float, end_s: float) -> None:
        """Book the bytes of steps that were computed in closed form on the links."""
        size_bytes = tokens * self._bytes_per_token
        repeat = self._repeats * steps
        self._communicator.account(_KIND, size_bytes, repeat=repeat, start_s=start_s, end_s=end_s)

    def run(self, tokens: int, *, cause: int) -> simpy.Event:
        """Start the all-reduces of one step on the fabric; the event's value is the record."""
        size_bytes = tokens * self._bytes_per_token
        return self._communicator.all_reduce(size_bytes, repeat=self._repeats, cause=cause)
