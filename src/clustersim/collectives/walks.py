"""The longest walks through a ring: its time in closed form.

A ring is a max-plus system. Message s on connection i waits for message s - 1 on the same
connection (a *stay*, which costs b/X_i) and on the one before (a *move*, which costs α too), so k
steps of b bytes take as long as the longest walk of k messages.

*Equation.* ``T(b) = max over walks of Σ b/X_i + Σ over moves of α_i``: each walk is a line in b. The
longest either goes round with every message, or comes to the slowest connection from some
connections before, stays, and goes on over some behind it, with as many whole rounds as fit or none.

**Valid when** a walk stays on no other than a slowest connection; exact then, else below the exact
time by rarely more than 1 %. **Source:** max-plus algebra (Baccelli et al., Synchronization and
Linearity, 1992). **Checked by:** tests/collectives/test_ring_closed_form.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["upper_envelope", "walks"]

_SAME = 1e-9
"""Rates that differ by less, relatively, are the same."""
_FARTHEST = 24
"""Connections before and behind the slowest one that a walk with a stay takes in at most."""


def walks(paces: Sequence[tuple[float, float]] | np.ndarray, steps: int) -> tuple[tuple[float, float], ...]:
    """Return the walks that are longest for some b.

    Parameters
    ----------
    paces
        For each connection in the order of the ring (1/X_i in s/B, α_i in s).
    steps
        Messages on each connection.

    Returns
    -------
    tuple
        Walks as (seconds per byte of a step, latency in seconds).
    """
    table = np.array(paces, dtype=float)
    slowest = np.flatnonzero(table[:, 0] >= table[:, 0].max() * (1 - _SAME))
    size, whole = len(table), (steps - 1) // len(table)
    near = _surroundings(table, slowest)
    staying = [
        rounds * table.sum(axis=0) + _stays(near, steps - rounds * size) for rounds in sorted({0, whole})
    ]
    return upper_envelope(np.concatenate([_rounds(table, steps), *staying]))


def _surroundings(table: np.ndarray, slowest: np.ndarray) -> np.ndarray:
    """The slowest connections with those before and behind them, each kind once."""
    size = len(table)
    reach = min(size - 1, _FARTHEST)
    near = table[(slowest[:, None] + np.arange(-reach, reach + 1)) % size]
    places = {around.tobytes(): place for place, around in enumerate(near)}
    return near[sorted(places.values())]


def _rounds(table: np.ndarray, steps: int) -> np.ndarray:
    """Walks that only move, one from each connection."""
    size = len(table)
    rounds, rest = divmod(steps, size)
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(np.concatenate([table, table]), axis=0)])
    part: np.ndarray = rounds * table.sum(axis=0) + sums[rest : rest + size] - sums[:size]
    return part


def _stays(near: np.ndarray, steps: int) -> np.ndarray:
    """Walks that come to the connection in the middle of each of `near`, stay and go on."""
    middle = near.shape[1] // 2
    farthest = min(middle + 1, steps)
    before = _running_sum(near[:, middle - farthest + 1 : middle][:, ::-1])
    behind = _running_sum(near[:, middle + 1 : middle + farthest])
    counts = np.arange(farthest)
    stays = steps - counts[:, None] - counts[None, :]
    total = before[:, :, None, :] + behind[:, None, :, :]
    total += (near[:, middle] * [0.0, 1.0])[:, None, None, :]
    total[..., 0] += stays * near[:, middle, 0][:, None, None]
    found: np.ndarray = total[:, stays >= 1].reshape(-1, 2)
    return found


def _running_sum(rows: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, 2, … rows of each."""
    return np.concatenate([np.zeros((len(rows), 1, 2)), np.cumsum(rows, axis=1)], axis=1)


def upper_envelope(lines: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return the lines (per_byte, latency) of which latency + per_byte·b is largest for some b ≥ 0.

    Between two lines of the envelope another one is highest, if at all, where they cross.
    """
    slopes, heights = lines.T.copy()
    first, last = _largest(heights, then=slopes), _largest(slopes, then=heights)

    def between(flatter: int, steeper: int) -> list[int]:
        rise = slopes[steeper] - slopes[flatter]
        if rise <= _SAME * slopes[steeper]:
            return []
        crossing = (heights[flatter] - heights[steeper]) / rise
        values = slopes * crossing + heights
        highest = int(np.argmax(values))
        if values[highest] <= values[flatter] * (1 + 1e-12):
            return []
        return [*between(flatter, highest), highest, *between(highest, steeper)]

    chosen = dict.fromkeys([first, *between(first, last), last])
    return tuple((float(slopes[line]), float(heights[line])) for line in chosen)


def _largest(values: np.ndarray, *, then: np.ndarray) -> int:
    """Index of the largest value; among equal ones, of that where `then` is largest."""
    equal = np.flatnonzero(values == values.max())
    return int(equal[np.argmax(then[equal])])
