"""What the host of an inference engine adds to a step: serial work, launches, padding to graphs."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.catalog.accelerators import Accelerator, find_accelerator
from clustersim.catalog.serving import InferenceEngine

__all__ = ["EngineHost"]

_REFERENCE = "a100-sxm4-80gb"
"""Whose server's host the times of `serving.yaml` hold for; others take as much longer or shorter as they
do for launching a kernel."""

_SMALL_GRAPHS = (1, 2, 4)
_GRAPH_GRAIN = 8
"""Graphs are captured of 1, 2, 4 and multiples of 8 tokens (vLLM, model_runner.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHost:
    """Seconds of the host in one step of an engine, at one model and one kind of server.

    *Equation.* With b requests in a step that keeps the GPUs busy for g, network included:

        t = serial + per_request·b + max(g, overlapped, launches)

    where launches counts only in steps that are not captured as a graph. A captured step computes as
    many tokens as the next larger graph has.

    Parameters
    ----------
    serial_s, per_request_s
        Time in which the GPUs wait.
    overlapped_s
        Time of the host that runs beside the GPUs.
    launches_s, prompt_launches_s
        Dispatching all operators of a step that is not captured, without and with prompts.
    captured_tokens
        Tokens of the largest graph; 0: nothing is captured.
    captures_prompts
        Whether steps with prompts are captured.

    **Valid when** one thread of the host does all of it, and runs ahead of the GPUs within a step.
    **Checked by:** tests/cost/test_engine_host.py.
    """

    serial_s: float = 0.0
    per_request_s: float = 0.0
    overlapped_s: float = 0.0
    launches_s: float = 0.0
    prompt_launches_s: float = 0.0
    captured_tokens: int = 0
    captures_prompts: bool = False

    @classmethod
    def of(
        cls,
        engine: InferenceEngine,
        accelerator: Accelerator,
        *,
        layers: int,
        serial_s: float | None = None,
        graphs: bool = True,
    ) -> EngineHost:
        """Return the host of an engine in a server of that accelerator.

        Parameters
        ----------
        layers
            Of the model: launches = layers · operators per layer · operator_host.
        serial_s
            In place of the engine's serial time, in whatever server.
        graphs
            False: nothing is captured.
        """
        pace = accelerator.kernel_launch_s / find_accelerator(_REFERENCE).kernel_launch_s
        operator_s = engine.operator_host_s * pace
        operators = engine.operators_per_layer
        prompt_operators = engine.prompt_operators_per_layer or operators
        given = serial_s is not None
        return cls(
            serial_s=engine.host_overhead_s * pace if serial_s is None else serial_s / accelerator.speed.host,
            per_request_s=0.0 if given else engine.host_per_request_s * pace,
            overlapped_s=engine.overlapped_host_s * pace,
            launches_s=layers * operators * operator_s,
            prompt_launches_s=layers * prompt_operators * operator_s,
            captured_tokens=engine.captured_tokens if graphs else 0,
            captures_prompts=engine.captures_prompts,
        )

    def captures(self, tokens: int, *, prompts: bool) -> bool:
        """Return whether a step of so many tokens is a captured graph."""
        return tokens <= self.captured_tokens and (self.captures_prompts or not prompts)

    def rows(self, tokens: int, *, prompts: bool) -> int:
        """Return the tokens that a step computes: those of the graph that it is padded to."""
        if not self.captures(tokens, prompts=prompts):
            return tokens
        small = next((size for size in _SMALL_GRAPHS if tokens <= size), None)
        return small if small is not None else -(-tokens // _GRAPH_GRAIN) * _GRAPH_GRAIN

    def waiting_s(self, requests: int) -> float:
        """Return the time of a step in which the GPUs wait for the host."""
        return self.serial_s + self.per_request_s * requests

    def beside_s(self, tokens: int, *, prompts: bool) -> float:
        """Return the time of the host beside the GPUs: a step is not shorter."""
        if self.captures(tokens, prompts=prompts):
            return self.overlapped_s
        return max(self.overlapped_s, self.prompt_launches_s if prompts else self.launches_s)
