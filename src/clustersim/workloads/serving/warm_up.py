"""How long a service needs until its latencies are those of the long run."""

from __future__ import annotations

import numpy as np

__all__ = ["suggested_warmup_s", "truncation"]

_BATCH = 5
_LEAST_BATCHES = 40
_WORTH_SAYING = 0.05


def truncation(values: np.ndarray) -> int | None:
    """Return how many samples at the beginning to leave out by the rule MSER-5.

    *Equation.* Of the means of five samples each, Y₁ … Y_m, drop the first d for which
    Σ_{i>d} (Y_i − mean)² / (m − d)² is smallest. None where that is at more than half of them: no long
    run is in sight; and for fewer than 200 samples.

    **Source:** White, Cobb and Spratt, A comparison of five steady-state truncation heuristics for
    simulation, WSC 2000. **Checked by:** tests/workloads/test_inference_measures.py.
    """
    batches = len(values) // _BATCH
    if batches < _LEAST_BATCHES:
        return None
    means = values[: batches * _BATCH].reshape(batches, _BATCH).mean(axis=1)
    left = np.arange(batches, 0, -1)
    sums = np.cumsum(means[::-1])[::-1]
    squares = np.cumsum(means[::-1] ** 2)[::-1]
    spread = np.maximum(0.0, squares - sums**2 / left) / left.astype(float) ** 2
    # The last few means always have a small spread, by chance.
    best = int(np.argmin(spread[: batches - _BATCH]))
    return best * _BATCH if best <= batches // 2 else None


def suggested_warmup_s(arrival_s: np.ndarray, values: np.ndarray, *, start_s: float) -> float | None:
    """Return a warm-up that would change the mean by more than 5 %, else None.

    Parameters
    ----------
    arrival_s, values
        Arrivals of finished requests, in order, and what was measured of each.
    start_s
        From when the warm-up counts.
    """
    dropped = truncation(values)
    if not dropped:
        return None
    whole, rest = float(values.mean()), float(values[dropped:].mean())
    if abs(rest - whole) <= _WORTH_SAYING * max(rest, whole):
        return None
    return float(arrival_s[dropped]) - start_s
