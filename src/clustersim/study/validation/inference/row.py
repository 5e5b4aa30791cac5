"""One row of a table of serving measurements: what was served on what, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from clustersim.errors import InputError
from clustersim.study.validation.service_rows import positive_number, typed_cells

__all__ = ["COLUMNS", "METRICS", "ServingRow", "read_row"]

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "ttft_s": "s",
        "ttft_p50_s": "s",
        "ttft_p90_s": "s",
        "ttft_p99_s": "s",
        "first_tokens_s": "s",
        "tpot_s": "s",
        "tpot_p50_s": "s",
        "tpot_p90_s": "s",
        "tpot_p99_s": "s",
        "e2e_s": "s",
        "e2e_p50_s": "s",
        "e2e_p99_s": "s",
        "output_tokens_per_s": "tokens/s",
        "requests_per_s": "1/s",
    }
)
"""Columns of measurements and their units. `first_tokens_s`: when the last request of a batch that was
sent at once has its first token; the others are means and percentiles over requests."""

COLUMNS = ("row_id", "table", "gpu", "gpus", "model")
"""Columns that a table must have; the others are optional."""


@dataclass(frozen=True)
class ServingRow:
    """What a row says; `None` where it says nothing.

    Parameters
    ----------
    gpu, gpus, system
        Hardware in the words of the source; `gpus` of all replicas together.
    engine
        Key of the catalogue's engines.
    tensor, pipeline, expert, data
        Layout of one replica; a tensor group that is not said is the smallest that holds the model.
    precision, weights, activations, kv_cache
        Of computation; and of stored weights, activations and the KV cache where they differ from it.
    policy, max_batch, max_batched_tokens, memory_utilization
        Of the scheduler.
    prompt, output, lengths, output_scale
        Tokens of every request, or a length table of the catalogue with a factor on its outputs.
    batch, concurrency, rate_per_s
        How requests come: so many at once, so many clients that never pause, or Poisson arrivals.
    requests
        How many; a default by kind of load where the row does not say.
    measured
        Metric to value in SI units.
    """

    id: str
    table: str
    gpu: str
    gpus: int
    model: str
    system: str = ""
    engine: str | None = None
    tensor: int | None = None
    pipeline: int = 1
    expert: int = 1
    data: int = 1
    precision: str = "fp16"
    weights: str | None = None
    activations: str | None = None
    kv_cache: str | None = None
    policy: str | None = None
    max_batch: int | None = None
    max_batched_tokens: int | None = None
    memory_utilization: float | None = None
    prompt: int | None = None
    output: int | None = None
    lengths: str | None = None
    output_scale: float = 1.0
    batch: int | None = None
    concurrency: int | None = None
    rate_per_s: float | None = None
    requests: int | None = None
    notes: str = ""
    measured: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def replicas(self) -> int:
        """Copies of the engine that the GPUs hold.

        Raises
        ------
        InputError
            If the layout does not divide the GPUs.
        """
        size = (self.tensor or 1) * self.pipeline * self.data
        replicas, rest = divmod(self.gpus, size)
        if rest or not replicas:
            raise InputError(f"{self.gpus} GPUs do not hold replicas of {size}")
        return replicas


_WHOLE = frozenset(
    {"gpus", "tensor", "pipeline", "expert", "data", "max_batch", "max_batched_tokens"}
    | {"prompt", "output", "batch", "concurrency", "requests"}
)
_NUMBERS = frozenset({"memory_utilization", "output_scale", "rate_per_s"})


def read_row(row: Mapping[str, str]) -> ServingRow:
    """Read a row of a table; cells may be empty.

    Raises
    ------
    InputError
        With the cell that cannot be read, or what is missing.
    """
    fields = typed_cells(row, ServingRow.__dataclass_fields__, whole=_WHOLE, numbers=_NUMBERS)
    measured = {name: positive_number(name, row[name]) for name in METRICS if (row.get(name) or "").strip()}
    read = ServingRow(**fields, measured=measured)  # type: ignore[arg-type]
    _check(read)
    return read


def _check(row: ServingRow) -> None:
    if not row.measured:
        raise InputError(f"nothing is measured; give one of {', '.join(METRICS)}")
    if row.lengths is None and (row.prompt is None or row.output is None):
        raise InputError("no lengths are given; fill 'lengths', or 'prompt' and 'output'")
    loads = [name for name in ("batch", "concurrency", "rate_per_s") if getattr(row, name) is not None]
    if len(loads) != 1:
        said = " and ".join(loads) or "none"
        raise InputError(
            f"one of 'batch', 'concurrency' and 'rate_per_s' says how requests come; {said} is given"
        )
