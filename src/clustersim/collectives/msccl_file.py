"""Reads MSCCL's XML: per GPU thread blocks of steps, each with its buffers and what it waits for.

**Source:** microsoft/msccl-tools (msccl/language/ir.py, which writes the files; collectives.py, what
buffers hold) and the interpreter of microsoft/msccl (which of its buffers each step reads).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from clustersim.errors import InputError, Problem, did_you_mean

__all__ = ["Operation", "ProgramFile", "read_program"]

_COLLECTIVES = {
    "allreduce": "all_reduce",
    "allgather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "reducescatter": "reduce_scatter",
    "alltoall": "all_to_all",
}
_TYPES = ("s", "r", "rcs", "rrs", "rrc", "rrcs", "cpy", "re", "nop")
_BUFFERS = ("i", "o", "s")


class Operation(NamedTuple):
    """One step of a thread block.

    Parameters
    ----------
    name
        `s` send, `r` receive, `cpy` copy, `re` reduce, `nop`; in `rcs`, `rrs`, `rrc` and `rrcs` a
        receive, then r educe, c opy, s end.
    source, target
        (buffer, first chunk) that it reads and writes.
    chunks
        How many.
    waits_for
        (thread block, step) of the same GPU that must be done; None if nothing.
    send_to, receive_from, channel
        Of its thread block; -1 for nobody.
    """

    gpu: int
    block: int
    step: int
    name: str
    source: tuple[str, int]
    target: tuple[str, int]
    chunks: int
    waits_for: tuple[int, int] | None
    send_to: int
    receive_from: int
    channel: int

    @property
    def receives(self) -> bool:
        """Whether it takes a message."""
        return self.name in ("r", "rcs", "rrs", "rrc", "rrcs")

    @property
    def sends(self) -> bool:
        """Whether it sends a message."""
        return self.name in ("s", "rcs", "rrs", "rrcs")

    def __str__(self) -> str:
        return f"gpu {self.gpu}, tb {self.block}, step {self.step}"


class ProgramFile(NamedTuple):
    """What a file says.

    Parameters
    ----------
    chunks
        Chunks of a rank's data per loop.
    """

    name: str
    collective: str
    ranks: int
    chunks: int
    in_place: bool
    operations: tuple[Operation, ...]


def read_program(path: Path | str) -> ProgramFile:
    """Read an algorithm.

    Raises
    ------
    InputError
        For a file that is not there or no XML, and elements or values that are not MSCCL's.
    """
    try:
        root = ElementTree.fromstring(Path(path).read_bytes())
    except OSError as error:
        raise InputError(Problem((), f"cannot be read: {error.strerror}", file=str(path))) from None
    except ElementTree.ParseError as error:
        raise InputError(Problem((), f"is no XML: {error}", file=str(path))) from None
    try:
        return _program(root)
    except InputError as error:
        raise InputError(Problem((), str(error), file=str(path))) from None


def _program(root: ElementTree.Element) -> ProgramFile:
    if root.tag != "algo":
        raise InputError(f"begins with <{root.tag}>; an MSCCL algorithm begins with <algo>")
    words = root.get("coll", "")
    if words not in _COLLECTIVES:
        raise InputError(f"<algo coll='{words}'>: unknown collective.{did_you_mean(words, _COLLECTIVES)}")
    return ProgramFile(
        root.get("name", "msccl"),
        _COLLECTIVES[words],
        _number(root, "ngpus", least=2),
        _number(root, "nchunksperloop", least=1),
        root.get("inplace", "1") == "1",
        tuple(_operations(root, _number(root, "ngpus", least=2))),
    )


def _operations(root: ElementTree.Element, ranks: int) -> Iterator[Operation]:
    for gpu in root.iter("gpu"):
        rank = _number(gpu, "id")
        if rank >= ranks:
            raise InputError(f"<gpu id='{rank}'> is beyond ngpus='{ranks}'")
        for block in gpu.iter("tb"):
            for index, step in enumerate(block.iter("step")):
                yield _operation(rank, block, step, index)


def _operation(rank: int, block: ElementTree.Element, step: ElementTree.Element, index: int) -> Operation:
    number, name = _number(step, "s"), step.get("type", "")
    where = f"gpu {rank}, tb {block.get('id')}, step {number}"
    if number != index:
        raise InputError(f"{where}: stands in place {index}; steps are numbered from 0")
    if name not in _TYPES:
        raise InputError(f"{where}: type '{name}' is not one of {', '.join(_TYPES)}")
    depends = _number(step, "depid", least=-1), _number(step, "deps", least=-1)
    operation = Operation(
        rank,
        _number(block, "id"),
        number,
        name,
        _place(step, "src", where),
        _place(step, "dst", where),
        _number(step, "cnt", least=0, default=1),
        depends if min(depends) >= 0 else None,
        _number(block, "send", least=-1),
        _number(block, "recv", least=-1),
        _number(block, "chan", default=0),
    )
    for does, peer, word in (
        (operation.sends, operation.send_to, "send"),
        (operation.receives, operation.receive_from, "recv"),
    ):
        if does and peer < 0:
            raise InputError(f"{where}: type '{name}' needs a peer; the thread block has {word}='-1'")
    return operation


def _place(step: ElementTree.Element, end: str, where: str) -> tuple[str, int]:
    buffer = step.get(f"{end}buf", "i")
    if buffer not in _BUFFERS:
        raise InputError(f"{where}: {end}buf '{buffer}' is not one of {', '.join(_BUFFERS)}")
    return buffer, _number(step, f"{end}off", least=-1, default=0)


def _number(element: ElementTree.Element, name: str, *, least: int = 0, default: int | None = None) -> int:
    text = element.get(name)
    if text is None and default is not None:
        return default
    try:
        value = int(text or "")
    except ValueError:
        value = least - 1
    if value < least:
        got = "is missing" if text is None else f"is '{text}'"
        raise InputError(f"<{element.tag}>: {name} {got}; expected a whole number from {least}")
    return value
