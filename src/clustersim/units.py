"""Quantities: text with a unit in files and on the command line, SI floats inside.

`400 Gbit/s`, `80 GiB`, `5 us`, `312 TFLOP/s` are read exactly (rational arithmetic,
one rounding at the end) and written back so that reading them again gives the same
float. A bare number where a unit is due is refused.

Bits and bytes never share a name: `b` alone is refused as ambiguous; `bit` and `B`
(or `byte`) are taken. Decimal (`GB`) and binary (`GiB`) prefixes are both understood.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from clustersim.errors import InputError

__all__ = [
    "BANDWIDTH",
    "DIMENSIONS",
    "FLOPS",
    "FLOP_RATE",
    "MONEY",
    "POWER",
    "PRICE",
    "RATE",
    "SIZE",
    "TIME",
    "TOKENS",
    "BandwidthQuantity",
    "Dimension",
    "FlopRateQuantity",
    "FlopsQuantity",
    "MoneyQuantity",
    "PositiveBandwidthQuantity",
    "PowerQuantity",
    "PriceQuantity",
    "Quantity",
    "RateQuantity",
    "SizeQuantity",
    "TimeQuantity",
    "TokensQuantity",
    "dimension_of",
    "format_quantity",
    "parse_quantity",
    "quantity",
]

_DECIMAL = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_LONGEST_NUMBER = 400
_NUMBER = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*\Z")


@dataclass(frozen=True)
class Dimension:
    """A physical dimension and the units that text may use for it.

    Parameters
    ----------
    name
        What a message calls it: `bandwidth`.
    si
        The unit inside: `B/s`.
    units
        Unit text to its factor in `si`, exact.
    display
        Units tried, in this order, when a value is written.
    """

    name: str
    si: str
    units: Mapping[str, Fraction]
    display: tuple[str, ...]

    @property
    def examples(self) -> str:
        """Units as an error message shows them."""
        return ", ".join(self.display[:5])


def _prefixed(base: Mapping[str, Fraction | int], *, binary: bool) -> dict[str, Fraction]:
    prefixes = {**_DECIMAL, **(_BINARY if binary else {})}
    return {
        prefix + unit: Fraction(factor) * value
        for unit, factor in base.items()
        for prefix, value in prefixes.items()
    }


def _dimension(name: str, si: str, units: Mapping[str, Fraction], display: tuple[str, ...]) -> Dimension:
    return Dimension(name, si, MappingProxyType(dict(units)), display)


_SIZES = _prefixed(
    {"B": 1, "byte": 1, "bytes": 1, "bit": Fraction(1, 8), "bits": Fraction(1, 8)}, binary=True
)
_SECONDS = {
    "s": Fraction(1),
    "sec": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
    "ps": Fraction(1, 10**12),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}

SIZE = _dimension("size", "B", _SIZES, ("GiB", "GB", "MiB", "MB", "KiB", "kB", "B"))
TIME = _dimension("time", "s", _SECONDS, ("d", "h", "min", "s", "ms", "us", "ns"))
BANDWIDTH = _dimension(
    "bandwidth",
    "B/s",
    {f"{unit}/s": factor for unit, factor in _SIZES.items()}
    | {f"{p}bps": Fraction(v, 8) for p, v in _DECIMAL.items()},
    ("Tbit/s", "Gbit/s", "Mbit/s", "kbit/s", "GB/s", "MB/s", "B/s"),
)
FLOPS = _dimension(
    "work", "FLOP", _prefixed({"FLOP": 1, "FLOPs": 1}, binary=False), ("PFLOP", "TFLOP", "GFLOP", "FLOP")
)
FLOP_RATE = _dimension(
    "compute rate",
    "FLOP/s",
    _prefixed({"FLOP/s": 1, "FLOPS": 1}, binary=False),
    ("PFLOP/s", "TFLOP/s", "GFLOP/s", "FLOP/s"),
)
RATE = _dimension(
    "rate",
    "1/s",
    {
        f"{what}/{unit}": 1 / factor
        for what in ("", "1", "req", "requests", "tokens", "steps")
        for unit, factor in _SECONDS.items()
    }
    | {"Hz": Fraction(1), "kHz": Fraction(1000), "qps": Fraction(1)},
    ("req/s", "req/min", "req/h"),
)
MONEY = _dimension("money", "USD", {"USD": Fraction(1), "$": Fraction(1)}, ("USD",))
POWER = _dimension(
    "power", "W", {"W": Fraction(1), "kW": Fraction(1000), "MW": Fraction(10**6)}, ("MW", "kW", "W")
)
PRICE = _dimension(
    "price",
    "USD/s",
    {f"{money}/{unit}": 1 / factor for money in ("USD", "$") for unit, factor in _SECONDS.items()},
    ("USD/h", "USD/d", "USD/s"),
)
_COUNTED = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
TOKENS = _dimension(
    "number of tokens",
    "tokens",
    {prefix: Fraction(factor) for prefix, factor in _COUNTED.items()}
    | {
        f"{prefix}{gap}tokens": Fraction(factor)
        for prefix, factor in (_COUNTED | {"B": 10**9}).items()
        for gap in ("", " ")
    }
    | {"tokens": Fraction(1)},
    ("T tokens", "B tokens", "M tokens", "tokens"),
)

DIMENSIONS = (SIZE, TIME, BANDWIDTH, FLOPS, FLOP_RATE, RATE, MONEY, POWER, PRICE, TOKENS)
"""All dimensions; no unit belongs to two of them."""


class Quantity(float):
    """An SI float that knows its dimension, so that a spec field takes it as it takes text with a unit."""

    __slots__ = ("dimension",)
    dimension: Dimension


def quantity(text: str, dimension: Dimension) -> Quantity:
    """Read `text` as `parse_quantity` does; the default of a spec field is written so."""
    result = Quantity(parse_quantity(text, dimension))
    result.dimension = dimension
    return result


def parse_quantity(text: str, dimension: Dimension) -> float:
    """Read `text` as a number with a unit of `dimension`; return it in SI.

    Raises
    ------
    InputError
        For a missing, unknown or ambiguous unit, for a unit of another dimension, and for
        text that is no number or one beyond the range of a float.
    """
    if text.strip().lower() in ("inf", "infinity"):
        return math.inf
    match = _NUMBER.match(text)
    if not match:
        raise InputError(
            f"'{text}' is not a {dimension.name}; write a number and a unit, e.g. in {dimension.examples}"
        )
    number, unit = match.groups()
    if not unit:
        raise InputError(f"{number} has no unit; a {dimension.name} takes one of {dimension.examples}")
    factor = dimension.units.get(unit)
    if factor is None:
        raise InputError(_wrong_unit(text.strip(), unit, dimension))
    try:
        return float(_exact(number) * factor)
    except OverflowError:
        raise InputError(f"'{text}' is beyond the range of numbers") from None


def _exact(number: str) -> Fraction:
    mantissa, _, exponent = number.replace("_", "").lower().partition("e")
    if len(mantissa) > _LONGEST_NUMBER or abs(int(exponent[:9] or 0)) > _LONGEST_NUMBER:
        raise OverflowError
    return Fraction(mantissa) * Fraction(10) ** int(exponent or 0)


def _wrong_unit(text: str, unit: str, dimension: Dimension) -> str:
    for other in DIMENSIONS:
        if other is not dimension and unit in other.units:
            return f"'{text}' is a {other.name}, a {dimension.name} is due; it takes {dimension.examples}"
    return f"unknown {dimension.name} unit '{unit}'.{_unit_hint(unit, dimension)}"


def _unit_hint(unit: str, dimension: Dimension) -> str:
    ambiguous = re.fullmatch(r"([kKMGTPE]?i?)b(/s)?", unit)
    if ambiguous:
        prefix, per = ambiguous.group(1), ambiguous.group(2) or ""
        return f" It could be bits or bytes: write '{prefix}bit{per}' or '{prefix}B{per}'."
    per_second = re.fullmatch(r"([kKMGTPE]?i?)B(ps|PS)", unit)
    if per_second:
        return f" Write '{per_second.group(1)}B/s'."
    if unit in ("m", "M") and dimension is TIME:
        return " Write 'min' or 'ms'."
    if unit.startswith(","):
        return " Write decimals with a point."
    lowered = {known.lower(): known for known in reversed(list(dimension.units))}
    close = difflib.get_close_matches(unit.lower(), lowered, n=1, cutoff=0.6) if len(unit) > 1 else []
    return f" Did you mean '{lowered[close[0]]}'?" if close else f" It takes {dimension.examples}."


def format_quantity(value: float, dimension: Dimension) -> str:
    """Write an SI float with a unit; `parse_quantity` gives the same float back.

    The first unit of `dimension.display` in which the number is at least one and
    short wins; otherwise the shortest exact text is taken.
    """
    if math.isinf(value):
        return "inf"
    best: str | None = None
    for unit in dimension.display:
        number = _exact_number(value, dimension, unit)
        if number is None:
            continue
        if value == 0:
            return f"0 {dimension.display[-1] if dimension is not TIME else 's'}"
        text = f"{number} {unit}"
        if abs(float(number)) >= 1 and len(number) <= 6:
            return text
        best = text if best is None or len(text) < len(best) else best
    return best if best is not None else f"{value!r} {dimension.si}"


def _exact_number(value: float, dimension: Dimension, unit: str) -> str | None:
    factor = dimension.units[unit]
    for digits in (6, 9, 12, 15, 17):
        try:
            number = f"{float(Fraction(value) / factor):.{digits}g}"
        except OverflowError:
            return None
        if _rounds_to(number, factor, value):
            return number
    return None


def _rounds_to(number: str, factor: Fraction, value: float) -> bool:
    try:
        return float(Fraction(number) * factor) == value
    except OverflowError:
        return False


class _QuantitySchema:
    """Tells pydantic how to read, write and document a float of one dimension."""

    def __init__(self, dimension: Dimension, *, positive: bool = False) -> None:
        self.dimension = dimension
        self.positive = positive

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: format_quantity(value, self.dimension), return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": f"quantity: {self.dimension.name}"}

    def _validate(self, value: Any) -> float:
        name = self.dimension.name
        if isinstance(value, Quantity) and value.dimension is self.dimension:
            return float(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise ValueError(f"{value} has no unit; a {name} takes one of {self.dimension.examples}")
        if not isinstance(value, str):
            raise ValueError(f"expected a {name} such as '1 {self.dimension.display[0]}'")
        try:
            number = parse_quantity(value, self.dimension)
        except InputError as error:
            raise ValueError(str(error)) from None
        if number < 0 or (self.positive and number == 0):
            raise ValueError(f"a {name} is {'positive' if self.positive else 'zero or more'}, got '{value}'")
        if math.isinf(number):
            raise ValueError(f"a {name} is finite, got '{value}'")
        return number


def dimension_of(mark: object) -> Dimension | None:
    """Return the dimension that an annotation of a field stands for, or None."""
    return mark.dimension if isinstance(mark, _QuantitySchema) else None


SizeQuantity = Annotated[float, _QuantitySchema(SIZE)]
TimeQuantity = Annotated[float, _QuantitySchema(TIME)]
BandwidthQuantity = Annotated[float, _QuantitySchema(BANDWIDTH)]
PositiveBandwidthQuantity = Annotated[float, _QuantitySchema(BANDWIDTH, positive=True)]
FlopsQuantity = Annotated[float, _QuantitySchema(FLOPS)]
FlopRateQuantity = Annotated[float, _QuantitySchema(FLOP_RATE)]
RateQuantity = Annotated[float, _QuantitySchema(RATE, positive=True)]
MoneyQuantity = Annotated[float, _QuantitySchema(MONEY)]
PowerQuantity = Annotated[float, _QuantitySchema(POWER)]
PriceQuantity = Annotated[float, _QuantitySchema(PRICE)]
TokensQuantity = Annotated[float, _QuantitySchema(TOKENS, positive=True)]
