"""What inference engines cost on the host, by engine generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import TIME, parse_quantity

__all__ = ["DEFAULT_ENGINE", "SHELF", "InferenceEngine"]

DEFAULT_ENGINE = "vllm-0.5"
"""The engine of a scenario that names none."""

_TIMES = ("start", "host_overhead", "host_per_request", "overlapped_host", "operator_host")
_COUNTS = (
    "operators_per_layer",
    "prompt_operators_per_layer",
    "captured_tokens",
    "captures_prompts",
    "prompt_attention_times",
    "narrow_product_times",
    "all_reduce_kernel_bytes",
)


@dataclass(frozen=True, kw_only=True)
class InferenceEngine:
    """A kind of inference engine: what its host does in a step, and which steps are captured graphs.

    Times hold for the host of an A100 server; `clustersim.cost.serving.engine_host` brings them to others.

    Parameters
    ----------
    start_s
        From nothing to an engine that could read its weights: processes, libraries, captured graphs.
    host_overhead_s
        Time of each step in which the GPUs wait for the host: scheduling, preparing inputs,
        sampling, sending tokens out.
    host_per_request_s
        What each request of the step adds to that.
    overlapped_host_s
        Time of the host that runs beside the GPUs: a step cannot be shorter.
    operator_host_s
        Time that the host takes to dispatch one operator of a step that is not captured.
    operators_per_layer
        Operators that a layer dispatches: kernels, allocations and views.
    prompt_operators_per_layer
        The same in steps with prompts; 0: as many.
    captured_tokens
        Tokens of the largest step that is captured as a graph; 0: none is.
    captures_prompts
        Whether steps with prompts are captured, too.
    prompt_attention_times
        How many times longer attention of prompts takes than with the kernels of the device's curves, by
        accelerator, with `all` for the rest.
    narrow_product_times
        How many times longer 8-bit products take.
    all_reduce_kernel_bytes
        Below this size the engine's own kernels reduce inside a node; 0: it has none.
    sources
        Field name to source.
    """

    name: str
    start_s: float
    host_overhead_s: float
    host_per_request_s: float = 0.0
    overlapped_host_s: float = 0.0
    operator_host_s: float = 0.0
    operators_per_layer: int = 0
    prompt_operators_per_layer: int = 0
    captured_tokens: int = 0
    captures_prompts: bool = False
    prompt_attention_times: Mapping[str, float] = field(default_factory=dict)
    narrow_product_times: float = 1.0
    all_reduce_kernel_bytes: float = 0.0
    sources: Mapping[str, Source]

    def prompt_attention_on(self, accelerator: str) -> float:
        """Return how many times longer attention of prompts takes on an accelerator."""
        times = self.prompt_attention_times
        return times.get(accelerator, times.get("all", 1.0))


def _build(record: Record) -> InferenceEngine:
    entry = record.fields
    times: dict[str, Any] = {f"{key}_s": parse_quantity(entry[key], TIME) for key in _TIMES if key in entry}
    counts: dict[str, Any] = {key: entry[key] for key in _COUNTS if key in entry}
    sources = {f"{key}_s": record.source(key) for key in _TIMES}
    sources |= {key: record.source(key) for key in _COUNTS}
    return InferenceEngine(name=record.name, **times, **counts, sources=MappingProxyType(sources))


SHELF: Shelf[InferenceEngine] = Shelf("inference engine", file="serving.yaml", build=_build)
