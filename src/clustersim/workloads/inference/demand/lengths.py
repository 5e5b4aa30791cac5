"""How long prompts and answers are."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from clustersim import catalog
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.lengths import LengthsSpec
from clustersim.workloads.inference.demand.trace_files import read_lengths

__all__ = [
    "DrawnLengths",
    "FixedLengths",
    "LengthStream",
    "Lengths",
    "ListedLengths",
    "ScaledLengths",
    "TableLengths",
    "lengths_of",
]

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


class DrawnLengths:
    """Lengths of given requests; each draw takes one of them, prompt and output together."""

    def __init__(self, prompt: np.ndarray, output: np.ndarray) -> None:
        self._prompt = prompt
        self._output = output
        self.longest = (int(prompt.max()), int(output.max()))

    def sample(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw `count` requests, each as likely as any."""
        places = rng.integers(len(self._prompt), size=count)
        return self._prompt[places], self._output[places]


class ListedLengths:
    """Lengths of given requests in their order, and after the last from the first again."""

    def __init__(self, prompt: np.ndarray, output: np.ndarray) -> None:
        self._prompt = prompt
        self._output = output
        self._next = 0
        self.longest = (int(prompt.max()), int(output.max()))

    def sample(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the next `count` requests."""
        places = (self._next + np.arange(count)) % len(self._prompt)
        self._next += count
        return self._prompt[places], self._output[places]


class ScaledLengths:
    """Lengths of another source times a factor each, rounded, at least 1."""

    def __init__(self, lengths: Lengths, *, prompt_scale: float, output_scale: float) -> None:
        self._lengths = lengths
        self._scales = (prompt_scale, output_scale)
        longest = self._scaled(*(np.array([tokens]) for tokens in lengths.longest))
        self.longest = (int(longest[0][0]), int(longest[1][0]))

    def sample(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw from the source and scale."""
        return self._scaled(*self._lengths.sample(rng, count))

    def _scaled(self, prompt: np.ndarray, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scaled = [
            np.maximum(1, np.rint(tokens * scale)).astype(np.int64)
            for tokens, scale in zip((prompt, output), self._scales, strict=True)
        ]
        return scaled[0], scaled[1]


class LengthStream:
    """Lengths one request after another; however many are taken, they begin the same."""

    def __init__(self, lengths: Lengths, rng: np.random.Generator) -> None:
        self._lengths = lengths
        self._rng = rng
        self._prompts = np.empty(0, dtype=np.int64)
        self._outputs = np.empty(0, dtype=np.int64)

    def take(self, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the next `count` prompt and output lengths."""
        if len(self._prompts) < count:
            self._draw(count)
        taken = self._prompts[:count], self._outputs[:count]
        self._prompts, self._outputs = self._prompts[count:], self._outputs[count:]
        return taken

    def _draw(self, count: int) -> None:
        """Draw whole blocks until there are `count`."""
        blocks = -(-(count - len(self._prompts)) // _BLOCK)
        drawn = [self._lengths.sample(self._rng, _BLOCK) for _ in range(blocks)]
        self._prompts = np.concatenate([self._prompts, *(prompts for prompts, _ in drawn)])
        self._outputs = np.concatenate([self._outputs, *(outputs for _, outputs in drawn)])


def lengths_of(spec: LengthsSpec, *, base: Path | None = None) -> Lengths:
    """Return the lengths that a spec describes.

    Parameters
    ----------
    base
        Folder that a relative path starts from.

    Raises
    ------
    InputError
        For a table that the catalogue does not hold, and a file that cannot be read.
    """
    if spec.prompt is not None and spec.output is not None:
        return FixedLengths(spec.prompt, spec.output)
    lengths = _listed(spec, base)
    if spec.prompt_scale == spec.output_scale == 1.0:
        return lengths
    return ScaledLengths(lengths, prompt_scale=spec.prompt_scale, output_scale=spec.output_scale)


def _listed(spec: LengthsSpec, base: Path | None) -> Lengths:
    if spec.path is not None:
        prompt, output = read_lengths((base or Path()) / spec.path)
        return DrawnLengths(prompt, output) if spec.order == "random" else ListedLengths(prompt, output)
    try:
        return TableLengths(spec.table or "")
    except CatalogError as error:
        raise InputError(Problem(("lengths", "table"), str(error))) from None
