"""Columns of text into numbers, without a Python object for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from clustersim.engine.fabric.compiled.jit import inner

__all__ = ["read_decimals", "read_integers"]

_SPACE, _NEW_LINE, _PLUS, _MINUS, _POINT, _ZERO, _NINE, _E_LARGE, _E_SMALL = (
    32,
    10,
    43,
    45,
    46,
    48,
    57,
    69,
    101,
)
_EXACT = 1 << 53
"""Whole numbers up to here are exact as floats."""
_POWERS = 10.0 ** np.arange(23)
"""The powers of ten that are exact as floats."""


@inner
def read_integers(text: Any, numbers: Any, ends: Any) -> int:
    """Read lines of whole numbers with spaces between them; return how many lines there were, or -1.

    `ends` gets, for each line, how many numbers there are up to its end; -1 stands for text that
    is something else, or has more lines than `ends`.
    """
    count = line = 0
    value = -1
    for place in range(len(text)):
        byte = text[place]
        if _ZERO <= byte <= _NINE:
            value = max(value, 0) * 10 + (byte - _ZERO)
            continue
        if value >= 0:
            numbers[count] = value
            count += 1
            value = -1
        if byte == _NEW_LINE and line < len(ends):
            ends[line] = count
            line += 1
        elif byte != _SPACE:
            return -1
    return line


@inner
def read_decimals(text: Any, values: Any, odd: Any) -> int:
    """Read lines of one decimal fraction each; return how many lines there were, or -1.

    A number is read where it takes one exactly rounded operation: a whole number of up to 53
    bits, times or over a power of ten of up to 22 (Clinger 1990). The other lines are marked in
    `odd`, for Python to read; -1 stands for more lines than `values`.
    """
    place = line = 0
    while place < len(text):
        if line >= len(values):
            return -1
        end = place
        while text[end] != _NEW_LINE:
            end += 1
        values[line], odd[line] = _decimal(text, place, end)
        line += 1
        place = end + 1
    return line


@inner
def _decimal(text: Any, place: int, end: int) -> tuple[float, bool]:
    """Read one number; return it, and whether it is not what this reads exactly."""
    mantissa = digits = power = 0
    negative = place < end and text[place] == _MINUS
    if negative:
        place += 1
    point = seen = False
    while place < end:
        byte = text[place]
        if _ZERO <= byte <= _NINE:
            seen = True
            mantissa = mantissa * 10 + (byte - _ZERO)
            digits += mantissa > 0
            power -= point
            if digits > 18:
                return 0.0, True
        elif byte == _POINT and not point:
            point = True
        else:
            break
        place += 1
    if not seen:
        return 0.0, True
    if place < end:
        exponent = _exponent(text, place, end)
        if exponent == _EXACT:
            return 0.0, True
        power += exponent
    if mantissa > _EXACT or abs(power) > 22:
        return 0.0, True
    value = mantissa / _POWERS[-power] if power < 0 else mantissa * _POWERS[power]
    return (-value if negative else value), False


@inner
def _exponent(text: Any, place: int, end: int) -> int:
    """Read the exponent that begins at `place`; `_EXACT` where there is none."""
    if text[place] not in (_E_SMALL, _E_LARGE):
        return _EXACT
    place += 1
    negative = place < end and text[place] == _MINUS
    if place < end and text[place] in (_MINUS, _PLUS):
        place += 1
    if place == end or end - place > 3:
        return _EXACT
    value = 0
    while place < end:
        if not _ZERO <= text[place] <= _NINE:
            return _EXACT
        value = value * 10 + (text[place] - _ZERO)
        place += 1
    return -value if negative else value
