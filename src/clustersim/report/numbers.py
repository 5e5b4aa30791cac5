"""Numbers as people read them: three digits and a unit that fits."""

from __future__ import annotations

import math

__all__ = [
    "bandwidth",
    "by_unit",
    "count",
    "duration",
    "money",
    "percent",
    "quantity",
    "rate",
    "round_duration",
    "round_up",
    "size",
    "time_scale",
]

_TIME_STEPS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_DECIMAL = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_BINARY = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def _digits(value: float, digits: int = 3) -> str:
    """Write three significant digits without an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    # Rounding up may have made one digit more than asked for: 9.996 is 10.0, not 10.00.
    if decimals and len(text.lstrip("-").replace(",", "").replace(".", "").lstrip("0")) > digits:
        text = f"{value:,.{decimals - 1}f}"
    return text


def duration(seconds: float) -> str:
    """Write a time: `312 ms`, `4.05 s`, `15 min 0 s`."""
    if seconds == 0:
        return "0 s"
    if abs(seconds) >= 600:
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
    for step, unit in _TIME_STEPS:
        if abs(seconds) >= 0.9995 * step:
            return f"{_digits(seconds / step)} {unit}"
    return f"{_digits(seconds / 1e-9)} ns"


def round_duration(seconds: float) -> str:
    """Write a time that is a round number, without the zeros after its point: `20 s`."""
    number, space, unit = duration(seconds).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number}{space}{unit}"


def time_scale(seconds: float) -> tuple[float, str]:
    """Return the factor and unit in which a plot shows times up to `seconds`: (1e3, "ms")."""
    for step, unit in _TIME_STEPS:
        if abs(seconds) >= step:
            return 1.0 / step, unit
    return 1.0, "s"


def _prefixed(value: float) -> tuple[str, str]:
    for step, prefix in _DECIMAL:
        if abs(value) >= 0.9995 * step:
            return _digits(value / step), prefix
    return _digits(value), ""


def quantity(value: float, unit: str) -> str:
    """Write a number with a decimal prefix on its unit: `12.5 GB/s`."""
    number, prefix = _prefixed(value)
    return f"{number} {prefix}{unit}".rstrip()


def bandwidth(bytes_per_s: float) -> str:
    """Write the rate of a link in bits, as links are sold: `100 Gbit/s`."""
    return quantity(8.0 * bytes_per_s, "bit/s")


def money(usd: float) -> str:
    """Write an amount: `383 USD`, `2.01 M USD`."""
    number, prefix = _prefixed(usd)
    return " ".join(part for part in (number, prefix, "USD") if part)


def size(size_bytes: float) -> str:
    """Write bytes with a binary prefix: `21.4 GiB`."""
    step, unit = next((item for item in _BINARY if abs(size_bytes) >= item[0]), _BINARY[-1])
    return f"{_digits(size_bytes / step)} {unit}"


def rate(per_s: float, what: str) -> str:
    """Write events per second, whole numbers from a hundred on: `6,512 samples/s`."""
    return f"{_digits(per_s) if abs(per_s) < 100 else f'{per_s:,.0f}'} {what}/s"


def percent(fraction: float) -> str:
    """Write a fraction: `61 %`, `98.2 %` near the ends, `0.4 %`."""
    value = 100.0 * fraction
    if value != 0 and (abs(value) < 10 or 90 < abs(value) < 100):
        return f"{value:.1f} %"
    return f"{value:.0f} %"


def round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50, … that is no smaller."""
    step = 10.0 ** math.floor(math.log10(value))
    return next(factor * step for factor in (1.0, 2.0, 5.0, 10.0) if factor * step >= value * (1 - 1e-12))


def count(value: float) -> str:
    """Write a whole number with separators."""
    return f"{value:,.0f}"


def by_unit(value: float, unit: str) -> str:
    """Write a value of a metric as its unit asks for."""
    if unit == "s":
        return duration(value)
    if unit == "B":
        return size(value)
    if unit in ("B/s", "FLOP/s", "FLOP"):
        return quantity(value, unit)
    if unit in ("", "1"):
        return _digits(value)
    return f"{_digits(value)} {unit}"
