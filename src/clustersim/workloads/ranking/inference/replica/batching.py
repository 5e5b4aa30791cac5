"""The queue of a replica: pieces of queries, in the order of their coming, and who goes into a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Piece", "PieceQueue", "pieces_of"]


class Piece(NamedTuple):
    """A part of a query's samples that goes through one worker."""

    query: int
    samples: int
    submitted_s: float


def pieces_of(query: int, samples: int, submitted_s: float, *, largest: int) -> Iterator[Piece]:
    """Yield the pieces of a query: as many full ones as there are, and the rest."""
    while samples > largest:
        yield Piece(query, largest, submitted_s)
        samples -= largest
    yield Piece(query, samples, submitted_s)


class PieceQueue:
    """Pieces that wait, and their samples.

    Parameters
    ----------
    max_samples
        Of a batch.
    even
        Share what waits over the idle workers in place of filling the batch of the first.
    """

    __slots__ = ("_even", "_max_samples", "pieces", "samples")

    def __init__(self, *, max_samples: int, even: bool) -> None:
        self._max_samples = max_samples
        self._even = even
        self.pieces: deque[Piece] = deque()
        self.samples = 0
        """Of all pieces."""

    @property
    def full(self) -> bool:
        """Whether waiting longer would not make the next batch larger."""
        return self.samples >= self._max_samples

    def push(self, piece: Piece) -> None:
        """Put a piece at the end."""
        self.pieces.append(piece)
        self.samples += piece.samples

    def take(self, idle: int) -> tuple[list[Piece], int]:
        """Return the pieces of the next batch and their samples; at least one piece.

        Parameters
        ----------
        idle
            Workers without a batch, the one that asks among them.
        """
        most = self._max_samples
        if self._even:
            most = min(most, -(-self.samples // idle))
        pieces = self.pieces
        first = pieces.popleft()
        taken, samples = [first], first.samples
        while pieces and samples + pieces[0].samples <= most:
            piece = pieces.popleft()
            taken.append(piece)
            samples += piece.samples
        self.samples -= samples
        return taken, samples
