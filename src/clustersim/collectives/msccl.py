"""Algorithms in MSCCL's XML, to run as `Communicator(..., algorithm=MscclProgram.read(path))`."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Self

from clustersim.collectives.group import Group
from clustersim.collectives.msccl_file import Operation, ProgramFile, read_program
from clustersim.collectives.msccl_memory import Memory, Value, added
from clustersim.collectives.plan import Plan
from clustersim.collectives.user_rounds import Sent, round_phases
from clustersim.errors import InputError

__all__ = ["MscclProgram"]

_Block = tuple[int, int]
"""GPU and thread block."""

_Ends = tuple[int, int, int]
"""Source, target and channel of messages, which arrive in the order in which they are sent."""


class MscclProgram:
    """An algorithm of MSCCL: what its thread blocks do, in the order in which it can be done.

    A message waits for all that its thread block and its dependencies received before it; its
    round is one more than the latest of those messages. Rounds run as those of a `StepList` do.

    Parameters
    ----------
    file
        What the file says.

    Raises
    ------
    InputError
        For sends without receives, steps that wait for each other in a circle, and an algorithm
        that does not bring about its collective.

    **Valid when** the rounds keep the order that the thread blocks have: a rank that is ahead in
    one thread block waits for its others between rounds.
    **Checked by:** tests/collectives/test_msccl.py; each one for what it promises, before it runs.
    """

    def __init__(self, file: ProgramFile) -> None:
        self._file = file
        self.kind = file.collective
        blocks: dict[_Block, list[Operation]] = {}
        for operation in file.operations:
            blocks.setdefault((operation.gpu, operation.block), []).append(operation)
        self._rounds = _Interpreter(file, blocks).run()

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read an algorithm from its XML file."""
        return cls(read_program(path))

    def plans(self, group: Group) -> tuple[Plan, ...]:
        """Return the plan on a group; raise `InputError` for one of another size."""
        file = self._file
        if file.ranks != len(group):
            raise InputError(f"'{file.name}' is for {file.ranks} ranks, the group has {len(group)}")
        return (Plan(file.name, "ring", round_phases(group, self._rounds), file.chunks),)


class _Interpreter:
    """Does the operations one after another, following data and rounds."""

    def __init__(self, file: ProgramFile, blocks: dict[_Block, list[Operation]]) -> None:
        self._file = file
        self._blocks = blocks
        self._memory = Memory(file)
        self._next = dict.fromkeys(blocks, 0)
        self._known: dict[_Block, list[int]] = {block: [] for block in blocks}
        """For each operation done the number of rounds that it comes after."""
        self._queues: dict[_Ends, deque[tuple[int, list[Value]]]] = {}
        self._sent: dict[_Ends, int] = {}
        self._rounds: list[list[Sent]] = []

    def run(self) -> list[list[Sent]]:
        """Return the rounds; each operation is done as soon as it can be."""
        while waiting := [block for block, steps in self._blocks.items() if self._next[block] < len(steps)]:
            moved = [self._advance(block) for block in waiting]
            if not any(moved):
                stuck = self._blocks[waiting[0]][self._next[waiting[0]]]
                raise InputError(f"{stuck}: waits for ever, for a step or a message that does not come")
        for (source, target, channel), queue in self._queues.items():
            if queue:
                raise InputError(
                    f"gpu {source} sends more to gpu {target} on channel {channel} than that receives"
                )
        self._memory.check()
        return self._rounds

    def _advance(self, block: _Block) -> bool:
        """Do the operations of a thread block that can be done; tell whether there was one."""
        steps, before = self._blocks[block], self._next[block]
        while self._next[block] < len(steps) and self._is_ready(steps[self._next[block]]):
            self._do(steps[self._next[block]])
            self._next[block] += 1
        return self._next[block] > before

    def _is_ready(self, operation: Operation) -> bool:
        if operation.waits_for is not None:
            block, step = operation.waits_for
            if self._next.get((operation.gpu, block), 0) <= step:
                return False
        return not operation.receives or bool(self._queues.get(_incoming(operation)))

    def _do(self, operation: Operation) -> None:
        known = self._known[operation.gpu, operation.block]
        after = known[-1] if known else 0
        if operation.waits_for is not None:
            block, step = operation.waits_for
            after = max(after, self._known[operation.gpu, block][step])
        arrived: list[Value] = []
        if operation.receives:
            number, arrived = self._queues[_incoming(operation)].popleft()
            after = max(after, number)
            if len(arrived) != operation.chunks:
                raise InputError(f"{operation}: receives {len(arrived)} chunks, expects {operation.chunks}")
        values = self._compute(operation, arrived)
        if operation.sends:
            self._send(operation, values, after)
        known.append(after)

    def _compute(self, operation: Operation, arrived: list[Value]) -> list[Value]:
        """Return what the operation has in hand, after it has stored it where it does."""
        name, memory = operation.name, self._memory
        if name == "nop":
            return []
        values = memory.read(operation) if name in ("s", "cpy", "re", "rrs", "rrc", "rrcs") else arrived
        if name.startswith("rr"):
            values = added(operation, values, arrived)
        if name == "re":
            memory.reduce(operation, values)
        elif name not in ("s", "rrs"):
            memory.write(operation, values)
        return values

    def _send(self, operation: Operation, values: list[Value], after: int) -> None:
        """Put a message into the first round after all that it comes after."""
        ends = (operation.gpu, operation.send_to, operation.channel)
        number = max(after, self._sent.get(ends, 0))
        self._sent[ends] = number + 1
        self._queues.setdefault(ends, deque()).append((number + 1, values))
        self._rounds += [[] for _ in range(number + 1 - len(self._rounds))]
        self._rounds[number].append(Sent(*ends, operation.chunks / self._file.chunks))


def _incoming(operation: Operation) -> _Ends:
    return operation.receive_from, operation.gpu, operation.channel
