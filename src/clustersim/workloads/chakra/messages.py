"""The messages of a Chakra execution trace: nodes with dependencies and attributes.

**Source:** github.com/mlcommons/chakra, schema/protobuf/et_def.proto (numbers and names of fields).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import cast

from clustersim.workloads.chakra.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Raw,
    Scalar,
    WireError,
    field_bytes,
    fields,
    integer,
    real,
    unpack,
    varint,
    zigzag,
)

__all__ = [
    "VERSION",
    "AttributeValue",
    "CollectiveType",
    "Node",
    "NodeType",
    "decode_metadata",
    "decode_node",
    "encode_metadata",
    "encode_node",
]

VERSION = "0.0.4"
"""Version of the schema that is written."""

AttributeValue = bool | int | float | str | bytes | tuple[object, ...]


class NodeType(IntEnum):
    """What a node does."""

    INVALID_NODE = 0
    METADATA_NODE = 1
    MEM_LOAD_NODE = 2
    MEM_STORE_NODE = 3
    COMP_NODE = 4
    COMM_SEND_NODE = 5
    COMM_RECV_NODE = 6
    COMM_COLL_NODE = 7


class CollectiveType(IntEnum):
    """Kinds of collectives, as the attribute `comm_type` numbers them."""

    ALL_REDUCE = 0
    REDUCE = 1
    ALL_GATHER = 2
    GATHER = 3
    SCATTER = 4
    BROADCAST = 5
    ALL_TO_ALL = 6
    REDUCE_SCATTER = 7
    REDUCE_SCATTER_BLOCK = 8
    BARRIER = 9


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a rank's trace.

    Parameters
    ----------
    data_deps, ctrl_deps
        Ids of nodes that have to end first.
    duration_micros
        Recorded duration in µs; 0 where none was recorded.
    attributes
        Values by name: `comm_size`, `num_ops`, …
    """

    id: int
    name: str
    type: NodeType
    data_deps: tuple[int, ...] = ()
    ctrl_deps: tuple[int, ...] = ()
    duration_micros: int = 0
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


def _text(value: Raw) -> str:
    try:
        return bytes(value).decode() if isinstance(value, bytes) else ""
    except UnicodeDecodeError:
        raise WireError("a text is not UTF-8") from None


_SCALARS: tuple[Scalar, ...] = (
    Scalar(FIXED64, real("d")),
    Scalar(FIXED32, real("f")),
    Scalar(VARINT, integer),  # int32
    Scalar(VARINT, integer),  # int64
    Scalar(VARINT, lambda value: value),  # uint32
    Scalar(VARINT, lambda value: value),  # uint64
    Scalar(VARINT, zigzag),  # sint32
    Scalar(VARINT, zigzag),  # sint64
    Scalar(FIXED32, real("I")),
    Scalar(FIXED64, real("Q")),
    Scalar(FIXED32, real("i")),
    Scalar(FIXED64, real("q")),
    Scalar(VARINT, bool),
    Scalar(LENGTH, _text),
    Scalar(LENGTH, lambda value: value),  # bytes
)
"""Types of `AttributeProto.value` in their order: the n-th (from 0) is field 3 + 2n, a list of it 4 + 2n."""

_FIRST_VALUE = 3

_BOOL, _INT32, _INT64, _UINT64, _STRING = 27, 7, 9, 13, 29
_WRITTEN_AS: Mapping[str, int] = {
    "is_cpu_op": _BOOL,
    "num_ops": _INT64,
    "tensor_size": _UINT64,
    "comm_type": _INT64,
    "comm_size": _INT64,
    "comm_src": _INT32,
    "comm_dst": _INT32,
    "comm_tag": _INT32,
    "pg_name": _STRING,
}
"""Field of `AttributeProto` in which readers look for each attribute.
**Source:** mlcommons/chakra, src/feeder/et_feeder_node.cpp."""


def decode_metadata(data: bytes) -> str:
    """Return the version that the first message of a file names.

    Raises
    ------
    WireError
        If it is no `GlobalMetadata`.
    """
    version = ""
    for number, wire_type, value in fields(data):
        if wire_type != LENGTH or number not in (1, 2):
            raise WireError("it does not begin with GlobalMetadata")
        if number == 1:
            version = _text(value)
    return version


def decode_node(data: bytes) -> Node:
    """Read a node.

    Raises
    ------
    WireError
        For bytes that are no node, and for a type that the schema does not have.
    """
    numbers: dict[int, int] = {1: 0, 3: 0, 7: 0}
    deps: dict[int, list[int]] = {4: [], 5: []}
    name, attributes = "", dict[str, AttributeValue]()
    for number, wire_type, value in fields(data):
        if number in numbers:
            if not isinstance(value, int):
                raise WireError(f"field {number} of a node is no number")
            numbers[number] = value
        elif number in deps:
            deps[number] += cast(Iterable[int], unpack(_ID, wire_type, value))
        elif number == 2:
            name = _text(value)
        elif number == 10 and isinstance(value, bytes):
            attributes.update([_decode_attribute(value)])
    if numbers[3] > max(NodeType):
        raise WireError(f"node {numbers[1]} has type {numbers[3]}; known are 0 to {max(NodeType)}")
    return Node(
        id=numbers[1],
        name=name,
        type=NodeType(numbers[3]),
        ctrl_deps=tuple(deps[4]),
        data_deps=tuple(deps[5]),
        duration_micros=numbers[7],
        attributes=attributes,
    )


_ID = Scalar(VARINT, lambda value: value)


def _decode_attribute(data: bytes) -> tuple[str, AttributeValue]:
    name: str = ""
    found: AttributeValue = ()
    for number, wire_type, value in fields(data):
        place, is_list = divmod(number - _FIRST_VALUE, 2)
        if number == 1:
            name = _text(value)
        elif 0 <= place < len(_SCALARS):
            scalar = _SCALARS[place]
            if is_list:
                found = _decode_list(scalar, value)
            elif wire_type == scalar.wire_type:
                found = cast(AttributeValue, scalar.decode(value))
            else:
                raise WireError(f"attribute '{name}' has wire type {wire_type} for {scalar.wire_type}")
    return name, found


def _decode_list(scalar: Scalar, value: Raw) -> tuple[object, ...]:
    if not isinstance(value, bytes):
        raise WireError("a list of values is no message")
    items: list[object] = []
    for _, wire_type, part in fields(value):
        items += unpack(scalar, wire_type, part)
    return tuple(items)


def encode_metadata() -> bytes:
    """Write the first message of a file."""
    return field_bytes(1, VERSION.encode())


def encode_node(node: Node) -> bytes:
    """Write a node; of attributes those that readers know.

    Raises
    ------
    KeyError
        For an attribute of another name.
    """
    parts = [
        field_bytes(1, node.id) if node.id else b"",
        field_bytes(2, node.name.encode()),
        field_bytes(3, int(node.type)),
    ]
    for number, deps in ((4, node.ctrl_deps), (5, node.data_deps)):
        if deps:
            parts.append(field_bytes(number, b"".join(map(varint, deps))))
    if node.duration_micros:
        parts.append(field_bytes(7, node.duration_micros))
    parts += (field_bytes(10, _encode_attribute(*item)) for item in node.attributes.items())
    return b"".join(parts)


def _encode_attribute(name: str, value: AttributeValue) -> bytes:
    raw = value.encode() if isinstance(value, str) else int(cast(int, value))
    return field_bytes(1, name.encode()) + field_bytes(_WRITTEN_AS[name], raw)
