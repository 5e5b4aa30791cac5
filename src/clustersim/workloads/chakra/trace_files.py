"""The files of a trace: `PREFIX.N.et` for rank N, each message with its length before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clustersim.errors import InputError, Problem
from clustersim.spec.files import numbered_files
from clustersim.workloads.chakra.messages import (
    Node,
    decode_metadata,
    decode_node,
    encode_metadata,
    encode_node,
)
from clustersim.workloads.chakra.wire import WireError, read_varint, varint

__all__ = ["SUFFIX", "RankTrace", "read_file", "read_trace", "write_file"]

SUFFIX = ".et"


@dataclass(frozen=True)
class RankTrace:
    """What one rank does, as a file says.

    Parameters
    ----------
    file
        Its name, for messages.
    nodes
        In the order of the file.
    """

    rank: int
    file: str
    nodes: tuple[Node, ...]

    def problem(self, node: Node, message: str) -> Problem:
        """Say what is wrong with a node."""
        return Problem(("trace",), f"{self.file}: node {node.id} ('{node.name}'): {message}")


def read_trace(path: Path, *, ranks: int) -> tuple[RankTrace, ...]:
    """Read the files of all ranks.

    Parameters
    ----------
    path
        What their names begin with, or the folder that holds them and no others.
    ranks
        How many there have to be, from `.0.et` on.

    Raises
    ------
    InputError
        For files that are not there or cannot be read.
    """
    files = numbered_files(path, SUFFIX)
    if not files:
        raise InputError(Problem(("trace",), f"there is no '{path}.0{SUFFIX}', nor a folder with such files"))
    if sorted(files) != list(range(ranks)):
        missing = sorted(set(range(ranks)).difference(files))
        lack = f"; there is none of rank {missing[0]}" if missing else ""
        found = f"the trace has files of {len(files)} ranks, up to rank {max(files)}{lack}"
        raise InputError(Problem(("gpus",), f"{found}; {ranks} GPUs run those of ranks 0 to {ranks - 1}"))
    return tuple(read_file(files[rank], rank) for rank in range(ranks))


def read_file(path: Path, rank: int) -> RankTrace:
    """Read the file of one rank.

    Raises
    ------
    InputError
        If it is no trace, saying after which node.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(Problem(("trace",), f"'{path}' cannot be read: {error.strerror}")) from None
    nodes: list[Node] = []
    at, begun = 0, False
    try:
        while at < len(data) or not begun:
            size, at = read_varint(data, at)
            if at + size > len(data):
                raise WireError(f"a message of {size} bytes begins at byte {at}, {len(data) - at} are left")
            message, at = data[at : at + size], at + size
            if begun:
                nodes.append(decode_node(message))
            else:
                decode_metadata(message)
                begun = True
    except WireError as error:
        after = f"after node {nodes[-1].id}" if nodes else "at its beginning"
        raise InputError(Problem(("trace",), f"{path.name} is no trace, {after}: {error}")) from None
    return RankTrace(rank, path.name, tuple(nodes))


def write_file(path: Path, nodes: Iterable[Node]) -> None:
    """Write the file of one rank."""
    messages: Sequence[bytes] = [encode_metadata(), *map(encode_node, nodes)]
    path.write_bytes(b"".join(varint(len(message)) + message for message in messages))
