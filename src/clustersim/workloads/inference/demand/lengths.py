"""How long prompts and answers are."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from clustersim import catalog
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.demand import LengthsSpec

__all__ = ["FixedLengths", "LengthStream", "Lengths", "TableLengths", "lengths_of"]

_BLOCK = 1024


class Lengths(Protocol):
    """A source of prompt and output lengths."""

    @property
    def longest(self) -> tuple[int, int]:
        """The most prompt tokens and the most output tokens that it can give."""

    def sample(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return `count` prompt lengths and as many output lengths."""


class FixedLengths:
    """Every request is equally long."""

    def __init__(self, prompt: int, output: int) -> None:
        self.longest = (prompt, output)

    def sample(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the same lengths `count` times."""
        prompt, output = self.longest
        return np.full(count, prompt), np.full(count, output)


class TableLengths:
    """Lengths of a public trace, from the catalogue's quantile tables."""

    def __init__(self, name: str) -> None:
        self._table = catalog.lengths(name)
        self.longest = (int(self._table.prompt[-1]), int(self._table.output[-1]))

    def sample(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw `count` requests from the table, with its rank correlation."""
        return self._table.sample(rng, count)


class LengthStream:
    """Lengths one request after another; however many are taken, they begin the same."""

    def __init__(self, lengths: Lengths, rng: np.random.Generator) -> None:
        self._lengths = lengths
        self._rng = rng
        self._prompts = np.empty(0, dtype=np.int64)
        self._outputs = np.empty(0, dtype=np.int64)
        self._taken = 0

    def take(self, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the next `count` prompt and output lengths."""
        end = self._taken + count
        while len(self._prompts) < end:
            prompts, outputs = self._lengths.sample(self._rng, _BLOCK)
            self._prompts = np.concatenate([self._prompts, prompts])
            self._outputs = np.concatenate([self._outputs, outputs])
        start, self._taken = self._taken, end
        return self._prompts[start:end], self._outputs[start:end]


def lengths_of(spec: LengthsSpec) -> Lengths:
    """Return the lengths that a spec describes.

    Raises
    ------
    InputError
        For a table that the catalogue does not hold.
    """
    if spec.prompt is not None and spec.output is not None:
        return FixedLengths(spec.prompt, spec.output)
    try:
        return TableLengths(spec.table or "")
    except CatalogError as error:
        raise InputError(Problem(("lengths", "table"), str(error))) from None
