"""Prompt and output lengths of public request traces, as quantile tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog._store import Record, Shelf, Source, read_yaml

__all__ = ["SHELF", "LengthTable"]


@dataclass(frozen=True, kw_only=True)
class LengthTable:
    """Marginal distributions of prompt and output tokens, and how they go together.

    *Equation:* a Gaussian copula. With Spearman's rank correlation ρ of the trace,
    (z₁, z₂) is normal with correlation 2·sin(π·ρ/6), uᵢ = Φ(zᵢ), and each length is its
    quantile function at uᵢ, linear between the table's levels.

    Parameters
    ----------
    levels, prompt, output
        Probability levels and the tokens at them.
    rank_correlation
        Spearman's ρ between prompt and output.
    requests
        Requests that the table was made from.

    **Valid when** requests are independent: the drift of a trace over the day is not kept.
    **Source:** `sources`; made by tools/fit_lengths.py. **Checked by:**
    tests/catalog/test_length_tables.py (mean, p50 and p99 against the traces).
    """

    name: str
    levels: NDArray[np.float64]
    prompt: NDArray[np.int64]
    output: NDArray[np.int64]
    rank_correlation: float
    requests: int
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """Which trace it was made from."""
        return self.sources["all"]

    def sample(self, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw `n` requests; return prompt and output tokens, each at least 1."""
        correlation = 2.0 * math.sin(math.pi * self.rank_correlation / 6.0)
        first, noise = rng.standard_normal((2, n))
        second = correlation * first + math.sqrt(1.0 - correlation**2) * noise
        return self._at(first, self.prompt), self._at(second, self.output)

    def _at(self, normal: NDArray[np.float64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        drawn = np.interp(_normal_cdf(normal), self.levels, tokens)
        return np.maximum(1, np.rint(drawn)).astype(np.int64)


def _normal_cdf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in values.tolist()])


def _build(record: Record) -> LengthTable:
    fields = record.fields
    levels = np.array(read_yaml(_FILE)["levels"])
    return LengthTable(
        name=record.name,
        levels=levels,
        prompt=np.array(fields["prompt"]),
        output=np.array(fields["output"]),
        rank_correlation=fields["rank_correlation"],
        requests=fields["requests"],
        sources=MappingProxyType(dict(record.sources)),
    )


_FILE = "lengths.yaml"
SHELF: Shelf[LengthTable] = Shelf("length table", file=_FILE, build=_build)
