"""Execution traces are read as the schema says, and what is no trace is refused by file and node."""

from __future__ import annotations

from pathlib import Path

import pytest
from chakra_traces import collective, compute
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.workloads.chakra.groups import read_groups, write_groups
from clustersim.workloads.chakra.messages import Node, NodeType, decode_node, encode_node
from clustersim.workloads.chakra.trace_files import read_file, read_trace, write_file
from clustersim.workloads.chakra.wire import fields, integer, varint, zigzag

ALL_REDUCE = bytes.fromhex(
    "0807120a616c6c2d72656475636518072a020506520e0a0969735f6370755f6f70d80100520d0a09636f6d6d5f74797065"
    "4800520f0a09636f6d6d5f73697a6548808040520d0a0770675f6e616d65ea010132"
)
"""An all-reduce of 1 MiB as protobuf 7.36 writes it."""

EVERY_TYPE = bytes.fromhex(
    "08ac021202c2b51807220301f4032a0102300938f0a20452110a06646f75626c6519000000000000f83f52120a05696e74"
    "333238fdffffffffffffffff0152130a0675696e7436346886808080808080808001520b0a0673696e74363488010f520c"
    "0a05666c6f61742d000020c0520f0a07666978656433329d010900000052140a087366697865643634c901f4ffffffffff"
    "ffff52090a04626f6f6cd80101520f0a06737472696e67ea010474657874520c0a056279746573fa010200ff521d0a0764"
    "6f75626c657322120a10000000000000f83f000000000000f83f52200a06696e7433327342160a14fdffffffffffffffff"
    "01fdffffffffffffffff0152100a0773696e743332738201040a020d0d521f0a086669786564363473b201120a100a0000"
    "00000000000a0000000000000052180a09736669786564333273c2010a0a08f5fffffff5ffffff520e0a05626f6f6c73e2"
    "01040a02010152180a07737472696e6773f2010c0a04746578740a047465787452130a066279746573738202080a0200ff"
    "0a0200ff"
)
"""A node with attributes of many types, as protobuf 7.36 writes it."""


def test_a_node_that_protobuf_wrote_is_read_and_written_to_the_byte() -> None:
    node = decode_node(ALL_REDUCE)
    assert (node.id, node.name, node.type) == (7, "all-reduce", NodeType.COMM_COLL_NODE)
    assert node.data_deps == (5, 6)
    assert node.attributes == {"is_cpu_op": False, "comm_type": 0, "comm_size": 1 << 20, "pg_name": "2"}
    assert encode_node(node) == ALL_REDUCE


def test_attributes_of_every_type_are_read_alone_and_in_lists() -> None:
    node = decode_node(EVERY_TYPE)
    assert (node.id, node.name, node.duration_micros) == (300, "µ", 70000)
    assert (node.ctrl_deps, node.data_deps) == ((1, 500), (2,))
    assert node.attributes == {
        "double": 1.5,
        "int32": -3,
        "uint64": 2**63 + 6,
        "sint64": -8,
        "float": -2.5,
        "fixed32": 9,
        "sfixed64": -12,
        "bool": True,
        "string": "text",
        "bytes": b"\x00\xff",
        "doubles": (1.5, 1.5),
        "int32s": (-3, -3),
        "sint32s": (-7, -7),
        "fixed64s": (10, 10),
        "sfixed32s": (-11, -11),
        "bools": (True, True),
        "strings": ("text", "text"),
        "bytess": (b"\x00\xff", b"\x00\xff"),
    }


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_come_back_from_the_wire(number: int) -> None:
    ((_, _, value),) = fields(b"\x08" + varint(number))
    assert integer(value) == number
    ((_, _, value),) = fields(b"\x08" + varint(number * 2 if number >= 0 else -number * 2 - 1))
    assert zigzag(value) == number


@given(
    st.builds(
        Node,
        id=st.integers(0, 2**64 - 1),
        name=st.text(),
        type=st.sampled_from(NodeType),
        data_deps=st.lists(st.integers(0, 2**64 - 1)).map(tuple),
        ctrl_deps=st.lists(st.integers(0, 2**64 - 1)).map(tuple),
        duration_micros=st.integers(0, 2**64 - 1),
        attributes=st.fixed_dictionaries(
            {},
            optional={
                "comm_size": st.integers(0, 2**63 - 1),
                "comm_tag": st.integers(0, 2**31 - 1),
                "is_cpu_op": st.booleans(),
                "pg_name": st.text(),
            },
        ),
    )
)
def test_a_node_comes_back_as_it_was_written(node: Node) -> None:
    assert decode_node(encode_node(node)) == node


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    nodes = (compute(0, 3), collective(1, after=[0]), compute(300, 5, after=[1]))
    write_file(tmp_path / "x.0.et", nodes)
    assert read_file(tmp_path / "x.0.et", 0).nodes == nodes


def refused(folder: Path, data: bytes) -> str:
    (folder / "x.0.et").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_trace(folder / "x", ranks=1)
    return str(caught.value)


def test_a_file_that_is_no_trace_is_refused_by_name_and_node(tmp_path: Path) -> None:
    write_file(tmp_path / "whole.et", [compute(4, 1), compute(5, 1)])
    whole = (tmp_path / "whole.et").read_bytes()
    assert "x.0.et is no trace, after node 4: a message of" in refused(tmp_path, whole[:-1])
    assert "x.0.et is no trace, at its beginning: it ends within a number" in refused(tmp_path, b"")
    node = encode_node(compute(4, 1))
    assert "does not begin with GlobalMetadata" in refused(tmp_path, varint(len(node)) + node)
    metadata = whole[: 1 + whole[0]]
    assert "node 9 has type 12; known are 0 to 7" in refused(tmp_path, metadata + b"\x04\x08\x09\x18\x0c")
    assert "field 4 has wire type 3" in refused(tmp_path, metadata + b"\x01\x23")


def test_files_are_counted_and_found_by_prefix_or_folder(tmp_path: Path) -> None:
    for rank in (0, 1, 3):
        write_file(tmp_path / f"x.{rank}.et", [compute(0, 1)])
    with pytest.raises(InputError, match=r"files of 3 ranks, up to rank 3; there is none of rank 2"):
        read_trace(tmp_path / "x", ranks=4)
    with pytest.raises(InputError, match=r"2 GPUs run those of ranks 0 to 1"):
        read_trace(tmp_path, ranks=2)
    write_file(tmp_path / "x.2.et", [compute(0, 1)])
    assert [trace.rank for trace in read_trace(tmp_path, ranks=4)] == [0, 1, 2, 3]
    write_file(tmp_path / "y.0.et", [compute(0, 1)])
    with pytest.raises(InputError, match="several names: x, y"):
        read_trace(tmp_path, ranks=4)
    with pytest.raises(InputError, match=r"there is no '.*z\.0\.et'"):
        read_trace(tmp_path / "z", ranks=1)


def test_groups_come_back_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    write_groups(path, {"1": (0, 2), "2": (1, 3)})
    assert read_groups(path, ranks=4) == {"1": (0, 2), "2": (1, 3)}
    with pytest.raises(InputError, match=r"group '2' of 'groups.json' has rank 3; there are ranks 0 to 2"):
        read_groups(path, ranks=3)
    for text, words in (("[1]", "should map numbers"), ('{"1": [0, 0]}', "each once"), ("{", "is no JSON")):
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            read_groups(path, ranks=4)
