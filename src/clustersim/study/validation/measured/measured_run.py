"""What a benchmark of a serving engine measured, whichever tool wrote it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["LATENCIES", "MeasuredRun", "Sending", "statistics_of"]

LATENCIES = ("ttft_s", "tpot_s", "itl_s", "e2e_s")
"""Latencies that are compared, in this order."""

_LEVELS = {"p50": 50.0, "p90": 90.0, "p99": 99.0}
_P999_SAMPLES = 1000


@dataclass(frozen=True)
class Sending:
    """How requests were sent, where their times were not written down.

    Parameters
    ----------
    rate_per_s
        Mean rate; infinite: all at once. None: unknown.
    burstiness
        Shape of the gamma distribution of gaps; 1 is Poisson.
    concurrency
        Most requests outstanding; None: any number.
    """

    rate_per_s: float | None = None
    burstiness: float = 1.0
    concurrency: int | None = None


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """Requests of a run, their latencies, and means over the run.

    Parameters
    ----------
    tool
        What wrote the file.
    prompt, output
        Tokens of each request; the means, as often as there were requests, where the file has no more.
    arrival_s
        When each was sent, from the first; None where that is not known.
    sending
        How they were sent, in that case.
    samples
        Values of a latency, one per request (of `itl_s`: per token).
    summary
        Statistics by latency and name, in seconds, where there are no samples.
    rates
        `requests_per_s`, `output_tokens_per_s`.
    notes
        What a reader must know.
    """

    tool: str
    prompt: np.ndarray
    output: np.ndarray
    arrival_s: np.ndarray | None = None
    sending: Sending = Sending()
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    summary: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def statistics(self) -> dict[str, dict[str, float]]:
        """Return mean and percentiles of each latency, from samples where there are any."""
        found: dict[str, dict[str, float]] = {}
        for name in LATENCIES:
            values = self.samples.get(name)
            if values is not None and len(values):
                found[name] = statistics_of(values)
            elif self.summary.get(name):
                found[name] = dict(self.summary[name])
        return found


def statistics_of(values: np.ndarray) -> dict[str, float]:
    """Return mean, p50, p90, p99, and p99.9 of a thousand samples or more."""
    levels = _LEVELS | ({"p99.9": 99.9} if len(values) >= _P999_SAMPLES else {})
    return {"mean": float(values.mean())} | {
        name: float(np.percentile(values, level)) for name, level in levels.items()
    }
