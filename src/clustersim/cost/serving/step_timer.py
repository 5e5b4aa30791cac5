"""How long an engine step of an inference replica takes, wherever the number comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from clustersim.cost.roofline import KernelTime

__all__ = ["DecodeRun", "StepTimer"]


class DecodeRun(NamedTuple):
    """Times of consecutive decode steps of one batch: step i takes first + i·growth, i < `steps`.

    Parameters
    ----------
    first
        Time of the first step.
    growth
        What every step takes more than the one before it.
    steps
        For how many steps this holds, at least 1.
    """

    first: KernelTime
    growth: KernelTime
    steps: int


class StepTimer(Protocol):
    """Seconds on the GPU and its host for one step of a replica, without communication.

    Implemented by `clustersim.cost.serving.serving_cost.RooflineTimer`, and by
    `clustersim.cost.serving.tables.TableTimer` for measured tables.
    """

    def step(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> KernelTime:
        """Return the time of one step.

        Parameters
        ----------
        decodes
            Requests that generate one token each.
        context_sum
            Tokens that those attend to, all together, each one's new token included.
        chunks
            Prompt chunks as (new tokens, tokens already in the cache).
        sampled
            Rows for which the next token is sampled.
        """

    def decode_run(self, *, decodes: int, context_sum: int) -> DecodeRun:
        """Return the times of decode steps in a row, beginning at this context sum.

        The context sum grows by `decodes` each step.
        """

    def stage_seconds(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> tuple[KernelTime, ...]:
        """Return the time of one step at each pipeline stage; together they make `step`'s.

        Asked only of replicas with more than one stage.
        """
