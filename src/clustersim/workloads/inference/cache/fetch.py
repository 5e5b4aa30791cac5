"""What is to be moved between GPU memory and the tiers below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["HBM", "Fetch", "Loaded", "Move"]

HBM = -1
"""In place of a tier's number: memory of the GPUs."""


class Move(NamedTuple):
    """Blocks that go from one tier to another."""

    source: int
    """Number of the tier that they are read from, from 0; or `HBM`."""
    target: int
    blocks: int


class Fetch(NamedTuple):
    """What a request that was just admitted waits for."""

    tokens: int
    """Tokens of `Request.pending` whose KV is in GPU memory once it is done."""
    moves: tuple[Move, ...]


class Loaded(NamedTuple):
    """How blocks came where they were to go."""

    row: int
    """Row of the trace that ended last: the cause of what goes on then."""
    shares: Mapping[str, float]
    """Seconds by resource; they add up to the time that it took."""
