"""One row of a table of ranking-service measurements: what was served on what, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from clustersim.errors import InputError
from clustersim.study.validation.service_rows import positive_number, typed_cells

__all__ = ["COLUMNS", "METRICS", "RankingServingRow", "read_row"]

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "queries_per_s": "1/s",
        "samples_per_s": "samples/s",
        "latency_s": "s",
        "latency_p50_s": "s",
        "latency_p90_s": "s",
        "latency_p95_s": "s",
        "latency_p99_s": "s",
    }
)
"""Columns of measurements and their units. A query has many samples: pairs of a user and a candidate."""

COLUMNS = ("row_id", "table", "gpu", "gpus", "model", "engine")
"""Columns that a table must have; the others are optional."""


@dataclass(frozen=True)
class RankingServingRow:
    """What a row says; `None` where it says nothing.

    Parameters
    ----------
    gpu, gpus, system
        Hardware in the words of the source; each GPU is a replica of its own.
    engine
        Key of the catalogue's ranking engines.
    precision, interaction, embeddings
        Of the layers, of the interaction where it differs, and of the rows of the tables.
    device_share, device_memory
        What of the tables device memory holds: a share of the rows, the hottest; or the smallest tables, as
        many as fit into a share of it. All where neither is said.
    warm
        The benchmark repeats so few samples that the cache holds all their rows (`yes`).
    inputs
        Where the inputs of a batch lie before it is made: scattered in host memory (`host`), one behind the
        other there (`contiguous`: nothing has to be gathered), or in device memory (`device`: nor copied).
    samples, candidates
        Samples of every query, or a quantile table of the catalogue.
    concurrency, rate_per_s, saturated, saturation
        How queries come: so many clients that never pause, Poisson arrivals, all at once (`yes`), or Poisson
        arrivals at this share of the rate at which all at once are served.
    max_samples, instances
        Largest batch, and batches that a GPU has at once, where they are not the engine's.
    measured
        Metric to value in SI units.
    """

    id: str
    table: str
    gpu: str
    gpus: int
    model: str
    engine: str
    system: str = ""
    precision: str = "fp16"
    interaction: str | None = None
    embeddings: str = "fp32"
    device_share: float | None = None
    device_memory: float | None = None
    warm: str = ""
    inputs: str = "host"
    samples: int | None = None
    candidates: str | None = None
    concurrency: int | None = None
    rate_per_s: float | None = None
    saturated: str = ""
    saturation: float | None = None
    saturated_max_samples: int | None = None
    max_samples: int | None = None
    instances: int | None = None
    notes: str = ""
    measured: Mapping[str, float] = field(default_factory=dict, compare=False)


_INPUTS = ("host", "contiguous", "device")
_WHOLE = frozenset({"gpus", "samples", "concurrency", "max_samples", "saturated_max_samples", "instances"})
_NUMBERS = frozenset({"device_share", "device_memory", "rate_per_s", "saturation"})
_LOADS = ("concurrency", "rate_per_s", "saturated", "saturation")


def read_row(row: Mapping[str, str]) -> RankingServingRow:
    """Read a row of a table; cells may be empty.

    Raises
    ------
    InputError
        With the cell that cannot be read, or what is missing.
    """
    fields = typed_cells(row, RankingServingRow.__dataclass_fields__, whole=_WHOLE, numbers=_NUMBERS)
    missing = next((name for name in COLUMNS if ("id" if name == "row_id" else name) not in fields), None)
    if missing is not None:
        raise InputError(f"{missing} is empty")
    measured = {name: positive_number(name, row[name]) for name in METRICS if (row.get(name) or "").strip()}
    read = RankingServingRow(**fields, measured=measured)  # type: ignore[arg-type]
    _check(read)
    return read


def _check(row: RankingServingRow) -> None:
    if not row.measured:
        raise InputError(f"nothing is measured; give one of {', '.join(METRICS)}")
    if (row.samples is None) == (row.candidates is None):
        raise InputError("one of 'samples' and 'candidates' says how large queries are")
    if row.inputs not in _INPUTS:
        raise InputError(f"inputs is '{row.inputs}'; {', '.join(_INPUTS)} are known")
    loads = [name for name in _LOADS if getattr(row, name)]
    if len(loads) != 1:
        said = " and ".join(loads) or "none"
        raise InputError(f"one of {', '.join(_LOADS)} says how queries come; {said} is given")
