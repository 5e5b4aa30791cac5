"""Rates that change over time: from the time in which arrivals are even to the clock, and back.

A renewal process whose rate is multiplied by f(t) is the process of constant rate, seen through
the clock Λ(t) = ∫₀ᵗ f: an arrival at operational time u happens at Λ⁻¹(u).
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from clustersim.spec.rate_profile import PiecewiseProfile, RateProfileSpec, SinusoidalProfile

__all__ = ["Clock", "PiecewiseClock", "SinusoidalClock", "SteadyClock", "clock_of"]

_HALVINGS = 60


class Clock(Protocol):
    """Λ and its inverse."""

    def operational(self, time_s: float) -> float:
        """Return Λ(t): seconds at the mean rate that bring as many arrivals as the time until t."""

    def times(self, operational_s: np.ndarray) -> np.ndarray:
        """Return Λ⁻¹ of sorted operational times."""


class SteadyClock:
    """A rate that does not change."""

    def operational(self, time_s: float) -> float:
        """Return the same time."""
        return time_s

    def times(self, operational_s: np.ndarray) -> np.ndarray:
        """Return the same times."""
        return operational_s


class SinusoidalClock:
    """A rate with a daily swing.

    *Equation.* f(t) = 1 + A·cos(2π(t − p)/P), so that Λ(t) = t + A·P/2π·(sin(2π(t − p)/P) + sin(2πp/P)),
    which is inverted by halving the interval t ± A·P/π in which the answer lies.

    **Checked by:** tests/workloads/test_inference_rates.py.
    """

    def __init__(self, spec: SinusoidalProfile) -> None:
        self._per_second = 2.0 * math.pi / spec.period
        self._swing_s = spec.amplitude / self._per_second
        self._peak_s = spec.peak

    def operational(self, time_s: float) -> float:
        """Return Λ(t)."""
        return float(self._of(np.array([time_s]))[0])

    def times(self, operational_s: np.ndarray) -> np.ndarray:
        """Return Λ⁻¹."""
        low = np.maximum(0.0, operational_s - 2.0 * self._swing_s)
        high = operational_s + 2.0 * self._swing_s
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            late = self._of(middle) >= operational_s
            high = np.where(late, middle, high)
            low = np.where(late, low, middle)
        return high

    def _of(self, time_s: np.ndarray) -> np.ndarray:
        since_peak = self._per_second * (time_s - self._peak_s)
        before = math.sin(self._per_second * self._peak_s)
        operational: np.ndarray = time_s + self._swing_s * (np.sin(since_peak) + before)
        return operational


class PiecewiseClock:
    """A rate that changes in steps.

    Parameters
    ----------
    at_s, factors
        When each step begins, from 0, and what the rate is multiplied by.
    period_s
        When the steps begin again; None where the last one lasts.
    """

    def __init__(self, at_s: np.ndarray, factors: np.ndarray, *, period_s: float | None) -> None:
        self._factors = factors
        self._period_s = period_s
        self._edges_s = at_s if period_s is None else np.append(at_s, period_s)
        inside = np.diff(self._edges_s) * factors[: len(self._edges_s) - 1]
        self._operational = np.concatenate([[0.0], np.cumsum(inside)])

    def operational(self, time_s: float) -> float:
        """Return Λ(t)."""
        if self._period_s is None:
            beyond = max(0.0, time_s - self._edges_s[-1]) * self._factors[-1]
            return float(np.interp(time_s, self._edges_s, self._operational) + beyond)
        periods, rest_s = divmod(time_s, self._period_s)
        return float(periods * self._operational[-1] + np.interp(rest_s, self._edges_s, self._operational))

    def times(self, operational_s: np.ndarray) -> np.ndarray:
        """Return Λ⁻¹; where nothing arrives for a while, the end of it."""
        whole = self._operational[-1]
        if self._period_s is None:
            inside = self._inverse(np.minimum(operational_s, whole))
            last = self._factors[-1]
            beyond = np.maximum(0.0, operational_s - whole) / last if last else np.inf
            return np.where(operational_s > whole, self._edges_s[-1] + beyond, inside)
        periods = np.floor(operational_s / whole)
        found: np.ndarray = periods * self._period_s + self._inverse(operational_s - periods * whole)
        return found

    def _inverse(self, operational: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self._operational, operational, side="right") - 1
        place = np.clip(place, 0, len(self._factors) - 1)
        factors = self._factors[place]
        rest = operational - self._operational[place]
        inverse: np.ndarray = self._edges_s[place] + np.divide(
            rest, factors, out=np.zeros_like(rest), where=factors > 0.0
        )
        return inverse


def clock_of(profile: RateProfileSpec | None) -> Clock:
    """Return the clock of a profile; a steady one where there is none."""
    if profile is None:
        return SteadyClock()
    if isinstance(profile, PiecewiseProfile):
        at_s, factors = np.array([(step.at, step.factor) for step in profile.steps]).T
        return PiecewiseClock(at_s, factors, period_s=profile.period)
    return SinusoidalClock(profile)
