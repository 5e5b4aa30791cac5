"""Step times of a replica that guesses tokens and checks them in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustersim.cost.roofline import KernelTime
from clustersim.cost.serving.engine_host import EngineHost
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.step_timer import DecodeRun
from clustersim.cost.serving.timer import RooflineTimer

__all__ = ["SpeculativeTimer", "expected_tokens"]


def expected_tokens(acceptance: float, guesses: int) -> float:
    """Return the mean tokens of a step: those accepted, and the one that the model itself adds.

    *Equation.* (1 − a^(k+1)) / (1 − a), Leviathan et al., ICML 2023 (arXiv:2211.17192), equation 1.

    Parameters
    ----------
    acceptance
        a, the chance that a guess is accepted if those before it were.
    guesses
        k.
    """
    return float((1.0 - acceptance ** (guesses + 1)) / (1.0 - acceptance))


class SpeculativeTimer:
    """Step times with speculative decoding.

    *Equation.* With k guesses, t = check(k + 1 tokens per request) + k·draft(1 token per request) +
    draft(prompts): the draft model runs k decode steps one after the other, and computes the prompts as
    well to have their keys and values.

    Parameters
    ----------
    cost
        Of the model, with its draft; without one, guesses cost nothing.
    host, network_s
        As `RooflineTimer` takes them.
    guesses
        k, tokens guessed in each step.

    **Valid when** the draft runs on one GPU while the others wait, from captured graphs; its k steps attend
    to the same context (k is small against it).
    **Source:** Leviathan et al., ICML 2023; Chen et al., arXiv:2302.01318; vLLM's draft model workers.
    **Checked by:** tests/cost/test_speculation.py.
    """

    def __init__(
        self,
        cost: ServingCost,
        *,
        host: EngineHost,
        network_s: Callable[[int], float] | None = None,
        guesses: int,
    ) -> None:
        self._check = RooflineTimer(cost, host=host, network_s=network_s, queries=guesses + 1)
        self._draft = RooflineTimer(cost.draft) if cost.draft is not None else None
        self._guesses = guesses

    def step(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> KernelTime:
        """Return the time of one step; see `StepTimer.step`."""
        total = self._check.step(decodes=decodes, context_sum=context_sum, chunks=chunks, sampled=sampled)
        if self._draft is None:
            return total
        if decodes:
            total += self._guess(decodes, context_sum).first * self._guesses
        if chunks:
            total += self._draft.step(decodes=0, context_sum=0, chunks=chunks, sampled=0)
        return total

    def decode_run(self, *, decodes: int, context_sum: int) -> DecodeRun:
        """Return the time of the next step alone: how many tokens come of it is drawn."""
        sampled = decodes * (self._guesses + 1)
        first = self.step(decodes=decodes, context_sum=context_sum, chunks=(), sampled=sampled)
        return DecodeRun(first, KernelTime.ZERO, 1)

    def stage_seconds(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> tuple[KernelTime, ...]:
        """Return the time of the only stage."""
        return (self.step(decodes=decodes, context_sum=context_sum, chunks=chunks, sampled=sampled),)

    def _guess(self, decodes: int, context_sum: int) -> DecodeRun:
        assert self._draft is not None
        return self._draft.decode_run(decodes=decodes, context_sum=context_sum)
