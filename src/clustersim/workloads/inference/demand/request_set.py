"""Requests as columns, before the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["RequestSet"]


@dataclass(frozen=True, eq=False)
class RequestSet:
    """Requests in order of arrival, as columns of equal length.

    Parameters
    ----------
    arrival_s
        Seconds after the first request.
    prompt, output
        Tokens.
    session
        Which conversation each belongs to; −1 for none. None where none does.
    hashes, hash_tokens
        Ids of the blocks of each prompt, equal where all tokens up to the block's end are, and
        tokens in a block. None where nothing is known to be shared.
    """

    arrival_s: np.ndarray
    prompt: np.ndarray
    output: np.ndarray
    session: np.ndarray | None = None
    hashes: Sequence[tuple[int, ...]] | None = None
    hash_tokens: int = 0

    def __len__(self) -> int:
        return len(self.arrival_s)

    def scaled(self, rate_scale: float) -> RequestSet:
        """Return the same requests with gaps divided by `rate_scale`."""
        return replace(self, arrival_s=self.arrival_s / rate_scale)

    def limited(self, *, count: int | None, duration_s: float | None) -> RequestSet:
        """Return the first `count` requests, without those that arrive after `duration_s`."""
        kept = len(self)
        if duration_s is not None:
            kept = int(np.searchsorted(self.arrival_s, duration_s, side="right"))
        kept = min(kept, count) if count is not None else kept
        return replace(
            self,
            arrival_s=self.arrival_s[:kept],
            prompt=self.prompt[:kept],
            output=self.output[:kept],
            session=None if self.session is None else self.session[:kept],
            hashes=None if self.hashes is None else self.hashes[:kept],
        )
