"""Quantities: text with a unit to SI floats and back."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from clustersim import units
from clustersim.errors import InputError
from clustersim.units import (
    BANDWIDTH,
    DIMENSIONS,
    FLOP_RATE,
    FLOPS,
    MONEY,
    POWER,
    PRICE,
    RATE,
    SIZE,
    TIME,
    TOKENS,
    Dimension,
    format_quantity,
    parse_quantity,
    quantity,
)

KINDS = {
    "SizeQuantity": SIZE,
    "TimeQuantity": TIME,
    "BandwidthQuantity": BANDWIDTH,
    "FlopsQuantity": FLOPS,
    "FlopRateQuantity": FLOP_RATE,
    "RateQuantity": RATE,
    "MoneyQuantity": MONEY,
    "PowerQuantity": POWER,
    "PriceQuantity": PRICE,
    "TokensQuantity": TOKENS,
}
dimensions = st.sampled_from(DIMENSIONS)
every_dimension = pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda one: one.name)


def refusal(text: str, dimension: Dimension) -> str:
    with pytest.raises(InputError) as refused:
        parse_quantity(text, dimension)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("400 Gbit/s", BANDWIDTH, 50e9),
        ("400Gbit/s", BANDWIDTH, 50e9),
        ("400 Gbps", BANDWIDTH, 50e9),
        ("50 GB/s", BANDWIDTH, 50e9),
        ("1 GiB/s", BANDWIDTH, 2.0**30),
        ("1 bit/s", BANDWIDTH, 0.125),
        ("80 GiB", SIZE, 80 * 2.0**30),
        ("80 GB", SIZE, 80e9),
        ("25 MiB", SIZE, 25 * 2.0**20),
        ("1 Kibit", SIZE, 128.0),
        ("3 bytes", SIZE, 3.0),
        ("0 B", SIZE, 0.0),
        ("5 us", TIME, 5e-6),
        ("5 µs", TIME, 5e-6),
        ("0.1 ms", TIME, 1e-4),
        ("10 min", TIME, 600.0),
        ("1.5 h", TIME, 5400.0),
        ("2 d", TIME, 172800.0),
        (" 7  ns ", TIME, 7e-9),
        ("1e3 s", TIME, 1000.0),
        ("1E-3 s", TIME, 1e-3),
        (".5 s", TIME, 0.5),
        ("5. s", TIME, 5.0),
        ("+5 s", TIME, 5.0),
        ("1_000 s", TIME, 1000.0),
        ("312 TFLOP/s", FLOP_RATE, 312e12),
        ("312 TFLOPS", FLOP_RATE, 312e12),
        ("3 PFLOP", FLOPS, 3e15),
        ("90 req/min", RATE, 1.5),
        ("2 qps", RATE, 2.0),
        ("5 /s", RATE, 5.0),
        ("2.5 USD", MONEY, 2.5),
        ("3.6 USD/h", PRICE, 0.001),
        ("2T", TOKENS, 2e12),
        ("300 B tokens", TOKENS, 3e11),
        ("700 W", POWER, 700.0),
        ("1.2 MW", POWER, 1.2e6),
    ],
)
def test_text_with_a_unit_becomes_an_si_float(text: str, dimension: Dimension, expected: float) -> None:
    assert parse_quantity(text, dimension) == expected


def test_reading_rounds_once_and_is_exact_otherwise() -> None:
    assert 2.3 * 1e-6 != 2.3e-6  # in floats the product is off by one rounding
    assert parse_quantity("2.3 us", TIME) == 2.3e-6
    assert parse_quantity("1.1 GB", SIZE) == float(Fraction(11, 10) * 10**9)


@every_dimension
def test_every_unit_of_every_dimension_is_read_exactly(dimension: Dimension) -> None:
    for unit, factor in dimension.units.items():
        assert parse_quantity(f"3.7 {unit}", dimension) == float(Fraction(37, 10) * factor)


@every_dimension
def test_what_is_displayed_can_be_read(dimension: Dimension) -> None:
    assert set(dimension.display) <= set(dimension.units)
    assert 1 in {dimension.units[unit] for unit in dimension.display}


def test_no_unit_belongs_to_two_dimensions() -> None:
    for one, other in combinations(DIMENSIONS, 2):
        assert not one.units.keys() & other.units.keys()


@given(dimensions, st.floats(min_value=0, allow_infinity=False))
def test_a_value_that_is_written_and_read_again_is_the_same_float(dimension: Dimension, value: float) -> None:
    assert parse_quantity(format_quantity(value, dimension), dimension) == value


@given(dimensions, st.data(), st.integers(0, 10**9), st.integers(-6, 6))
def test_a_value_in_any_unit_survives_writing_and_reading(
    dimension: Dimension, data: st.DataObject, mantissa: int, exponent: int
) -> None:
    unit = data.draw(st.sampled_from(sorted(dimension.units)))
    value = parse_quantity(f"{mantissa}e{exponent} {unit}", dimension)
    assert parse_quantity(format_quantity(value, dimension), dimension) == value


@given(dimensions, st.text(max_size=12).filter(lambda text: not any(map(str.isdigit, text))))
def test_text_without_a_number_is_refused_in_one_sentence(dimension: Dimension, text: str) -> None:
    if text.strip().lower() not in ("inf", "infinity"):
        assert refusal(text, dimension).startswith(f"'{text}' is not a {dimension.name}")


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (50e9, BANDWIDTH, "400 Gbit/s"),
        (0.9e12, BANDWIDTH, "7.2 Tbit/s"),
        (25 * 2.0**20, SIZE, "25 MiB"),
        (80e9, SIZE, "80 GB"),
        (1e-6, TIME, "1 us"),
        (0.05, TIME, "50 ms"),
        (100.0, TIME, "100 s"),
        (600.0, TIME, "10 min"),
        (0.0, TIME, "0 s"),
        (0.0, SIZE, "0 B"),
        (2.5, RATE, "2.5 req/s"),
        (312e12, FLOP_RATE, "312 TFLOP/s"),
        (math.inf, TIME, "inf"),
    ],
)
def test_a_value_is_written_in_the_unit_that_people_would_take(
    value: float, dimension: Dimension, text: str
) -> None:
    assert format_quantity(value, dimension) == text


@every_dimension
@pytest.mark.parametrize("text", ["5", "5.5", "1e9", "-3"])
def test_a_bare_number_is_refused_and_told_its_units(dimension: Dimension, text: str) -> None:
    message = refusal(text, dimension)
    assert f"{text} has no unit; a {dimension.name} takes one of" in message
    assert dimension.display[0] in message


@pytest.mark.parametrize(
    ("text", "dimension", "bits", "bytes_"),
    [
        ("400 Gb/s", BANDWIDTH, "Gbit/s", "GB/s"),
        ("400 b/s", BANDWIDTH, "bit/s", "B/s"),
        ("80 Gb", SIZE, "Gbit", "GB"),
        ("80 Gib", SIZE, "Gibit", "GiB"),
        ("1 b", SIZE, "bit", "B"),
    ],
)
def test_a_b_that_could_be_bits_or_bytes_is_refused(
    text: str, dimension: Dimension, bits: str, bytes_: str
) -> None:
    assert f"could be bits or bytes: write '{bits}' or '{bytes_}'" in refusal(text, dimension)


@pytest.mark.parametrize("text", ["400 GBps", "400 GBPS"])
def test_bytes_per_second_are_never_taken_for_bits(text: str) -> None:
    assert "Gbps" not in refusal(text, BANDWIDTH)
    assert "GB/s" in refusal(text, BANDWIDTH)


@pytest.mark.parametrize(
    ("text", "dimension", "sentence"),
    [
        ("5 Gbit/s", SIZE, "'5 Gbit/s' is a bandwidth, a size is due"),
        ("5 GiB", BANDWIDTH, "'5 GiB' is a size, a bandwidth is due"),
        ("5 GiB", TIME, "'5 GiB' is a size, a time is due"),
        ("5 s", RATE, "'5 s' is a time, a rate is due"),
        ("5 req/s", TIME, "'5 req/s' is a rate, a time is due"),
        ("5 TFLOP", FLOP_RATE, "'5 TFLOP' is a work, a compute rate is due"),
    ],
)
def test_a_unit_of_another_dimension_is_named(text: str, dimension: Dimension, sentence: str) -> None:
    assert sentence in refusal(text, dimension)


@pytest.mark.parametrize(
    ("text", "dimension", "hint"),
    [
        ("5 m", TIME, "Write 'min' or 'ms'"),
        ("5 secs", TIME, "Did you mean 'sec'?"),
        ("5 gbit/s", BANDWIDTH, "Did you mean 'Gbit/s'?"),
        ("5 parsnips", SIZE, "It takes GiB, GB"),
        ("1,5 s", TIME, "Write decimals with a point"),
        ("five s", TIME, "'five s' is not a time"),
        ("", TIME, "'' is not a time"),
        ("1e999 s", TIME, "beyond the range"),
        ("1e999999999999 s", TIME, "beyond the range"),
        ("9" * 5000 + " s", TIME, "beyond the range"),
    ],
)
def test_a_refusal_says_what_to_write_instead(text: str, dimension: Dimension, hint: str) -> None:
    assert hint in refusal(text, dimension)


class _Model(BaseModel):
    wait: units.TimeQuantity = quantity("250 ms", TIME)
    rate: units.RateQuantity = quantity("1 req/s", RATE)


@pytest.mark.parametrize("name", KINDS)
def test_a_model_field_takes_text_and_gives_it_back(name: str) -> None:
    adapter = TypeAdapter(getattr(units, name))
    unit = KINDS[name].display[-1]
    value = adapter.validate_python(f"3 {unit}")
    assert type(value) is float
    assert adapter.validate_python(adapter.dump_python(value)) == value


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("value", [5, 5.0, True, None, [], {}, "5", "-1 s", "inf"])
def test_a_model_field_refuses_bare_numbers_and_other_things(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(getattr(units, name)).validate_python(value)


@pytest.mark.parametrize("name", KINDS)
def test_a_model_field_refuses_negative_values(name: str) -> None:
    with pytest.raises(ValidationError, match="got '-1"):
        TypeAdapter(getattr(units, name)).validate_python(f"-1 {KINDS[name].display[-1]}")


def test_a_rate_is_positive_where_a_time_may_be_zero() -> None:
    assert _Model(wait="0 s").wait == 0.0
    with pytest.raises(ValidationError, match="a rate is positive"):
        _Model(rate="0 req/s")


def test_a_default_is_written_with_its_unit_and_is_a_plain_float_in_the_model() -> None:
    assert _Model().wait == 0.25
    assert _Model(wait=quantity("1 s", TIME)).wait == 1.0
    with pytest.raises(ValidationError, match="no unit"):
        _Model(wait=quantity("1 B", SIZE))
