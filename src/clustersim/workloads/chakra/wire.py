"""The wire format of protocol buffers, as far as execution traces need it.

It is a hundred lines that change as rarely as the format does. The runtime library would be a compiled
dependency, need the schema as well, and say of a malformed file only that it cannot be parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = [
    "FIXED32",
    "FIXED64",
    "LENGTH",
    "VARINT",
    "Raw",
    "Scalar",
    "WireError",
    "field_bytes",
    "fields",
    "integer",
    "read_varint",
    "real",
    "unpack",
    "varint",
    "zigzag",
]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types. **Source:** protobuf.dev, Encoding: message structure."""

_MOST_VARINT_BYTES = 10
_SIZE = {FIXED64: 8, FIXED32: 4}

Raw = int | bytes
"""A value on the wire: a number for varints, the bytes of everything else."""


class WireError(ValueError):
    """Bytes that are no message."""


class Scalar(NamedTuple):
    """How one type of scalar is written: its wire type, and what a raw value of it means."""

    wire_type: int
    decode: Callable[[Raw], object]


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it.

    Raises
    ------
    WireError
        If the data end within it, or it has more than ten bytes.
    """
    value = 0
    for count in range(_MOST_VARINT_BYTES):
        if at + count >= len(data):
            raise WireError(f"it ends within a number, at byte {at}")
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + count + 1
    raise WireError(f"the number at byte {at} has more than ten bytes")


def fields(data: bytes) -> Iterator[tuple[int, int, Raw]]:
    """Yield number, wire type and raw value of each field of a message, in their order.

    Raises
    ------
    WireError
        For a wire type that no schema of today has, and for data that end within a field.
    """
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        wire_type = key & 7
        if wire_type == VARINT:
            value, at = read_varint(data, at)
            yield key >> 3, wire_type, value
            continue
        if wire_type == LENGTH:
            size, at = read_varint(data, at)
        elif wire_type in _SIZE:
            size = _SIZE[wire_type]
        else:
            raise WireError(f"field {key >> 3} has wire type {wire_type}, known are 0, 1, 2 and 5")
        if at + size > len(data):
            raise WireError(f"field {key >> 3} is {size} bytes long, {len(data) - at} are left")
        yield key >> 3, wire_type, data[at : at + size]
        at += size


def unpack(scalar: Scalar, wire_type: int, value: Raw) -> Iterator[object]:
    """Yield the items that one field of a repeated scalar holds: one, or many where they are packed.

    Raises
    ------
    WireError
        For another wire type than the scalar has.
    """
    if wire_type == scalar.wire_type:
        yield scalar.decode(value)
        return
    if wire_type != LENGTH or not isinstance(value, bytes):
        raise WireError(f"wire type {wire_type} where {scalar.wire_type} is due")
    at = 0
    while at < len(value):
        item: Raw
        if scalar.wire_type == VARINT:
            item, at = read_varint(value, at)
        else:
            size = _SIZE[scalar.wire_type]
            item, at = value[at : at + size], at + size
        yield scalar.decode(item)


def integer(value: Raw) -> int:
    """Read a varint as a signed number of 64 bits."""
    number = int(value) if isinstance(value, int) else 0
    return number - (1 << 64) if number >> 63 else number


def zigzag(value: Raw) -> int:
    """Read a varint of a type that begins with `sint`."""
    number = int(value) if isinstance(value, int) else 0
    return (number >> 1) ^ -(number & 1)


def real(code: str) -> Callable[[Raw], object]:
    """Return what reads a number of fixed width, by its code in `struct`."""
    size = struct.calcsize(f"<{code}")

    def decode(value: Raw) -> object:
        if not isinstance(value, bytes) or len(value) != size:
            raise WireError(f"a number of {size} bytes is cut short")
        return struct.unpack(f"<{code}", value)[0]

    return decode


def varint(number: int) -> bytes:
    """Write a number, a negative one as its two's complement of 64 bits."""
    number &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    out.append(number)
    return bytes(out)


def field_bytes(number: int, value: Raw) -> bytes:
    """Write one field: a varint, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    return varint(number << 3 | LENGTH) + varint(len(value)) + value
