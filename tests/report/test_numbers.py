"""Numbers as people read them."""

from __future__ import annotations

import pytest

from clustersim.report.numbers import (
    bandwidth,
    by_unit,
    duration,
    percent,
    rate,
    round_duration,
    round_up,
    size,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (3.2e-9, "3.20 ns"),
        (4.5e-6, "4.50 µs"),
        (0.3123, "312 ms"),
        (0.9996, "1.00 s"),
        (9.996, "10.0 s"),
        (59.99, "60.0 s"),
        (307.4, "307 s"),
        (900.0, "15 min 0 s"),
        (5400.0, "1 h 30 min"),
        (-0.25, "-250 ms"),
    ],
)
def test_durations_have_three_digits_and_a_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0 %"), (0.004, "0.4 %"), (0.61, "61 %"), (0.982, "98.2 %"), (1.0, "100 %")],
)
def test_percentages_keep_a_decimal_near_the_ends(fraction: float, text: str) -> None:
    assert percent(fraction) == text


def test_links_are_written_in_bits_and_memory_in_binary_bytes() -> None:
    assert bandwidth(12.5e9) == "100 Gbit/s"
    assert size(21.4 * 2**30) == "21.4 GiB"


def test_rates_from_a_hundred_on_are_whole_numbers() -> None:
    assert rate(6512.3, "samples") == "6,512 samples/s"
    assert rate(5.376, "requests") == "5.38 requests/s"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "s", "500 ms"),
        (9.5e9, "B/s", "9.50 GB/s"),
        (2.0**20, "B", "1.00 MiB"),
        (0.25, "", "0.250"),
        (3, "requests", "3.00 requests"),
    ],
)
def test_a_metric_is_written_as_its_unit_asks_for(value: float, unit: str, text: str) -> None:
    assert by_unit(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20.0, "20 s"), (0.5, "500 ms"), (0.05, "50 ms"), (2.0, "2 s"), (900.0, "15 min 0 s")],
)
def test_round_times_have_no_zeros_after_the_point(seconds: float, text: str) -> None:
    assert round_duration(seconds) == text


@pytest.mark.parametrize(("value", "above"), [(0.3, 0.5), (1.0, 1.0), (7.0, 10.0), (23.0, 50.0)])
def test_rounding_up_gives_one_two_or_five(value: float, above: float) -> None:
    assert round_up(value) == pytest.approx(above)
