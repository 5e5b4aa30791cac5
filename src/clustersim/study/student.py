"""Student's t distribution for the few degrees of freedom that seeds give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

__all__ = ["mean_interval", "t_cdf", "t_quantile"]


def t_cdf(t: float, *, degrees: int) -> float:
    """Return P(T ≤ t) for a whole number of degrees of freedom.

    *Equation.* With θ = arctan(t/√ν), P(|T| ≤ t) is a finite sum:
    (2/π)·(θ + sin θ·(cos θ + 2/3·cos³θ + … )) for odd ν, up to cos^(ν−2)θ (θ alone for ν = 1);
    sin θ·(1 + 1/2·cos²θ + 1·3/(2·4)·cos⁴θ + … ) for even ν, up to cos^(ν−2)θ.

    **Source:** Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    **Checked by:** tests/study/test_student.py against published tables.
    """
    if degrees < 1:
        raise ValueError(f"degrees of freedom must be at least 1, got {degrees}")
    theta = math.atan2(t, math.sqrt(degrees))
    cosine, sine = math.cos(theta), math.sin(theta)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for power in range(2 + odd, degrees - 1, 2):
        term *= (power - 1) / power * cosine * cosine
        total += term
    inside = 2.0 / math.pi * (theta + sine * total) if odd else sine * total
    return 0.5 + 0.5 * inside


@cache
def t_quantile(probability: float, *, degrees: int) -> float:
    """Return the t below which the distribution stays with `probability`, from 0.5 to below 1.

    `t_cdf` is inverted by bisection, to the last bit.

    **Checked by:** tests/study/test_student.py against published tables.
    """
    if not 0.5 <= probability < 1:
        raise ValueError(f"probability must be from 0.5 to below 1, got {probability}")
    low, high = 0.0, 1.0
    while t_cdf(high, degrees=degrees) < probability:
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if t_cdf(middle, degrees=degrees) < probability else (low, middle)
    return 0.5 * (low + high)


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return mean, lower and upper end of its confidence interval.

    *Equation.* x̄ ± t₍₁₊c₎/₂,ₙ₋₁ · s/√n with s² = Σ(x − x̄)²/(n − 1).

    Valid when the values are independent and their mean is about normal. At least two values
    are due; equal values give an interval of no width.
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"an interval needs at least 2 values, got {count}")
    mean = math.fsum(values) / count
    if all(value == values[0] for value in values):
        return values[0], values[0], values[0]
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = t_quantile(0.5 + confidence / 2, degrees=count - 1) * math.sqrt(variance / count)
    return mean, mean - half, mean + half
