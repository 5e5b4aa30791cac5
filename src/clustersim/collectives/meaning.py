"""What a collective has to bring about, and whether a plan does: the data followed block by block.

A value is the set of ranks whose contributions a block holds, as bits of a number. Messages copy or
add values; an addition of what is there already, a message of what has not arrived, and a result
that misses a contribution are errors. It is a check of the algorithm, for few ranks: its time
grows with messages times blocks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Phase, Plan
from clustersim.errors import InputError

__all__ = ["Ledger", "Task", "check_plan"]


@dataclass(frozen=True)
class Task:
    """A collective of some ranks over data that is cut into blocks.

    Parameters
    ----------
    blocks
        Blocks in all; see `clustersim.collectives.plan.Plan`.
    """

    kind: Kind
    ranks: int
    blocks: int

    def given(self, rank: int, block: int) -> int:
        """Return what a rank begins with: its contribution to a block, or 0."""
        name, root = self.kind.name, self.kind.root
        if name in ("all_gather", "gather"):
            has = self._owner(block) == rank
        elif name in ("all_to_all", "all_to_all_v"):
            has = block // self.ranks == rank
        elif name in ("broadcast", "scatter", "send_recv"):
            has = rank == root
        else:
            has = True
        return 1 << rank if has else 0

    def wanted(self, rank: int, block: int) -> int:
        """Return what a rank must end with in a block; 0 where that does not matter."""
        name, root = self.kind.name, self.kind.root
        everyone = (1 << self.ranks) - 1
        if name in ("all_reduce", "barrier"):
            return everyone
        if name == "reduce_scatter":
            return everyone if self._owner(block) == rank else 0
        if name == "reduce":
            return everyone if rank == root else 0
        if name == "all_gather" or (name == "gather" and rank == root):
            return 1 << self._owner(block)
        if name == "broadcast" or (name == "scatter" and self._owner(block) == rank):
            return 1 << root
        if name == "all_to_all":
            return 1 << block // self.ranks if block % self.ranks == rank else 0
        if name == "send_recv":
            return 1 << root if rank == (self.kind.ranks or (0, 1))[1] else 0
        return 0

    def _owner(self, block: int) -> int:
        return block * self.ranks // self.blocks


@dataclass
class Ledger:
    """Who holds which contributions to which block.

    Parameters
    ----------
    adds_twice
        Whether adding a contribution again does no harm, as in a barrier.
    """

    adds_twice: bool = False
    values: dict[tuple[Hashable, Hashable], int] = field(default_factory=dict)

    def read(self, place: Hashable, block: Hashable, where: str) -> int:
        """Return the contributions that a place holds.

        Raises
        ------
        InputError
            Where it has none.
        """
        value = self.values.get((place, block), 0)
        if not value:
            raise InputError(f"{where}: {_named(place)} does not have {_block(block)}")
        return value

    def write(self, place: Hashable, block: Hashable, value: int, where: str, *, reduces: bool) -> None:
        """Replace what a place holds, or add to it.

        Raises
        ------
        InputError
            Where a contribution would be added a second time.
        """
        before = self.values.get((place, block), 0) if reduces else 0
        twice = before & value
        if twice and not self.adds_twice:
            rank = twice.bit_length() - 1
            raise InputError(
                f"{where}: adds the contribution of rank {rank} to {_block(block)} of {_named(place)} twice"
            )
        self.values[place, block] = before | value

    def check(self, place: Hashable, block: Hashable, wanted: int, what: str) -> None:
        """Raise `InputError` where a place does not end with the contributions it should have."""
        missing = wanted & ~self.values.get((place, block), 0)
        if missing:
            rank = missing.bit_length() - 1
            raise InputError(
                f"{what}: {_named(place)} ends without the contribution of rank {rank} to {_block(block)}"
            )


def _named(place: Hashable) -> str:
    return f"rank {place}" if isinstance(place, int) else str(place)


def _block(block: Hashable) -> str:
    return f"block {block}"


def check_plan(plan: Plan, kind: Kind, group: Group) -> None:
    """Follow the data through a plan, and what each message knows.

    Raises
    ------
    InputError
        With the first message that sends what it cannot have or adds something twice, or
        the first rank that does not end with what the collective promises.
    """
    task = Task(kind, len(group), plan.blocks)
    ledger = Ledger(adds_twice=kind.name == "barrier")
    for rank, gpu in enumerate(group.gpus):
        for block in range(plan.blocks):
            if given := task.given(rank, block):
                ledger.values[gpu, block] = given
    run = _Run(ledger)
    for number, phase in enumerate(plan.phases):
        run.phase(phase, f"{plan.algorithm}, phase {number}")
    for rank, gpu in enumerate(group.gpus):
        for block in range(plan.blocks):
            ledger.check(gpu, block, task.wanted(rank, block), f"{plan.algorithm}: {kind.name}")


@dataclass
class _Run:
    """The messages so far: what each comes after, as bits, and which of them made each value."""

    ledger: Ledger
    made_by: dict[tuple[Hashable, Hashable], int] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)
    """Messages that a vertex knows of when it enters the present phase."""
    count: int = 0

    def phase(self, phase: Phase, where: str) -> None:
        past: dict[tuple[int, int], int] = {}
        for step, indices in _steps(phase):
            sent = [self._send(phase, index, step, past, f"{where}, step {step}") for index in indices]
            for writes in sent:
                for place, block, value, reduces, knows in writes:
                    self.ledger.write(place, block, value, f"{where}, step {step}", reduces=reduces)
                    before = self.made_by.get((place, block), 0) if reduces else 0
                    self.made_by[place, block] = before | knows
        known = dict(self.entered)
        for (index, _), knows in past.items():
            connection = phase.connections[index]
            for vertex in (connection.source, connection.target):
                known[vertex] = known.get(vertex, 0) | knows
        self.entered = known

    def _send(
        self, phase: Phase, index: int, step: int, past: dict[tuple[int, int], int], where: str
    ) -> list[tuple[str, int, int, bool, int]]:
        """Read what a message carries; return the writes of its arrival."""
        connection, payload = phase.connections[index], phase.carries(index, step)
        knows = past.get((index, step - 1), 0) | self.entered.get(connection.source, 0)
        for fed in phase.feeds[index]:
            knows |= past.get((fed, step - phase.lag), 0)
        source, target = payload.source or connection.source, payload.target or connection.target
        values = []
        for block in payload.blocks:
            value = self.ledger.read(source, block, where)
            if self.made_by.get((source, block), 0) & ~knows:
                raise InputError(f"{where}: {connection.source} sends block {block} before it has arrived")
            values.append((block, value))
        knows |= 1 << self.count
        self.count += 1
        past[index, step] = knows
        return [(target, block, value, payload.reduces, knows) for block, value in values]


def _steps(phase: Phase) -> Iterator[tuple[int, list[int]]]:
    """Messages that read at the same time: of a step; of a pipeline one chunk, connection by connection."""
    count = len(phase.connections)
    if phase.lag == 0:
        yield from ((0, [index]) for index in range(count))
        return
    for step in range(max(phase.messages, default=0)):
        yield step, [index for index in range(count) if step < phase.messages[index]]
