"""Runs of alike decode steps in closed form.

While the requests of a batch stay the same, each decode step adds one token to the context
of every request, so that step times grow by a constant: step i (from 0) takes a + g·i.
"""

from __future__ import annotations

import math

__all__ = ["run_seconds", "steps_until"]


def run_seconds(steps: int, *, first_s: float, growth_s: float) -> float:
    """Return how long `steps` decode steps take together.

    *Equation.* T(k) = k·a + g·k(k−1)/2.

    Parameters
    ----------
    steps
        k, the number of steps.
    first_s
        a, seconds of the first step.
    growth_s
        g, seconds by which each step is longer than the one before.

    Checked by: tests/workloads/test_inference_skip_ahead.py (against adding up the steps).
    """
    return steps * first_s + growth_s * (0.5 * steps * (steps - 1))


def steps_until(elapsed_s: float, *, first_s: float, growth_s: float) -> int:
    """Return the first step boundary at or after `elapsed_s`: the least k ≥ 1 with T(k) ≥ elapsed.

    *Equation.* The positive root of g/2·k² + (a − g/2)·k − x = 0 in the form that loses no
    digits, k = 2x / (b + √(b² + 2gx)) with b = a − g/2, rounded up and then corrected by
    single steps until T(k−1) < x ≤ T(k).

    Valid when a > 0 and g ≥ 0.

    Checked by: tests/workloads/test_inference_skip_ahead.py.
    """
    if elapsed_s <= first_s:
        return 1
    linear = first_s - 0.5 * growth_s
    root = 2.0 * elapsed_s / (linear + math.sqrt(linear * linear + 2.0 * growth_s * elapsed_s))
    steps = max(1, math.ceil(root))
    while steps > 1 and run_seconds(steps - 1, first_s=first_s, growth_s=growth_s) >= elapsed_s:
        steps -= 1
    while run_seconds(steps, first_s=first_s, growth_s=growth_s) < elapsed_s:
        steps += 1
    return steps
