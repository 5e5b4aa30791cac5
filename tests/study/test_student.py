"""Student's t distribution and intervals of a mean."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clustersim.study.student import mean_interval, t_cdf, t_quantile

# NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2, column 0.975.
PUBLISHED = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228,
    15: 2.131, 20: 2.086, 25: 2.060, 30: 2.042, 60: 2.000, 100: 1.984,
}  # fmt: skip


@pytest.mark.parametrize(("degrees", "published"), PUBLISHED.items())
def test_quantiles_agree_with_the_published_table(degrees: int, published: float) -> None:
    assert t_quantile(0.975, degrees=degrees) == pytest.approx(published, abs=5e-4)


def test_one_degree_is_the_cauchy_distribution() -> None:
    for t in (-3.0, -0.5, 0.0, 0.7, 20.0):
        assert t_cdf(t, degrees=1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-15)


def test_two_degrees_have_their_closed_form() -> None:
    for t in (-2.0, 0.3, 4.303):
        assert t_cdf(t, degrees=2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-15)


@pytest.mark.parametrize("degrees", [1, 2, 3, 8, 29])
def test_the_quantile_inverts_the_distribution(degrees: int) -> None:
    for probability in (0.6, 0.9, 0.975, 0.995):
        assert t_cdf(t_quantile(probability, degrees=degrees), degrees=degrees) == pytest.approx(probability)


def test_95_percent_intervals_cover_the_mean_of_normal_samples_95_percent_of_the_time() -> None:
    random = np.random.default_rng(20)
    trials = 4000
    covered = 0
    for sample in random.normal(3.0, 2.0, size=(trials, 5)).tolist():
        _, low, high = mean_interval(sample)
        covered += low <= 3.0 <= high
    # Four standard errors of a binomial share.
    assert covered / trials == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / trials))


def test_equal_values_give_an_interval_without_width() -> None:
    assert mean_interval([0.1, 0.1, 0.1]) == (0.1, 0.1, 0.1)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_values_have_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 2 values"):
        mean_interval(values)
