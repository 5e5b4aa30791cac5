"""An algorithm of one's own as a list of steps: who sends which chunks to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.meaning import Ledger, Task
from clustersim.collectives.plan import Payload, Plan
from clustersim.collectives.rounds import Move
from clustersim.collectives.user_rounds import Sent, round_phases
from clustersim.errors import InputError
from clustersim.spec.schedule import ScheduleSpec

__all__ = ["StepList"]


class StepList:
    """Steps of a collective, to run as `Communicator(..., algorithm=steps)`.

    Messages of a step carry what their senders had before it; a rank begins a step when it has
    received and sent all of its own in the one before. Steps in which the same ranks send each other
    the same number of chunks become one macro-flow.

    Parameters
    ----------
    collective
        Kind, e.g. `all_reduce`.
    ranks
        Ranks that it is for.
    chunks
        Equal chunks that the data is cut into. Rank r of N owns those from r·chunks/N on; in an
        all-to-all chunks are N·N, and chunk s·N + t is what rank s has for rank t.
    root
        Of broadcast, reduce, gather and scatter.
    name
        What `algorithm_of` calls it.

    Raises
    ------
    InputError
        For what `clustersim.spec.schedule.ScheduleSpec` refuses.

    **Valid when** ranks wait for their own part of a step only. **Checked by:**
    tests/collectives/test_user_algorithms.py; each one for what it promises, before it runs.
    """

    def __init__(self, collective: str, *, ranks: int, chunks: int, root: int = 0, name: str = "own") -> None:
        self._fields = {
            "name": name, "collective": collective, "ranks": ranks, "chunks": chunks, "root": root
        }  # fmt: skip
        self._steps: list[list[Mapping[str, object]]] = []
        self._spec: ScheduleSpec | None = None

    @classmethod
    def of(cls, spec: ScheduleSpec) -> Self:
        """Return the steps of a file."""
        steps = cls(spec.collective, ranks=spec.ranks, chunks=spec.chunks, root=spec.root, name=spec.name)
        steps._spec = spec
        return steps

    def send(
        self, step: int, source: int, target: int, chunks: Sequence[int], *, reduce: bool = False
    ) -> None:
        """Add a message to a step (from 0); with `reduce` the receiver adds the chunks to its own."""
        if step < 0:
            raise InputError(f"steps are counted from 0, got {step}")
        self._spec = None
        self._steps += [[] for _ in range(step + 1 - len(self._steps))]
        self._steps[step].append(
            {"source": source, "target": target, "chunks": list(chunks), "reduce": reduce}
        )

    @property
    def spec(self) -> ScheduleSpec:
        """The steps as a file would say them; checked for ranks and chunks that are not there."""
        if self._spec is None:
            self._spec = ScheduleSpec.checked({**self._fields, "steps": self._steps})
        return self._spec

    @property
    def kind(self) -> str:
        """Kind of collective that it does, with its root."""
        spec = self.spec
        rooted = spec.collective in ("broadcast", "reduce", "gather", "scatter")
        return f"{spec.collective}:{spec.root}" if rooted else spec.collective

    def plans(self, group: Group) -> tuple[Plan, ...]:
        """Return the plan on a group.

        Raises
        ------
        InputError
            For a group of another size, and where the steps do not bring about the collective:
            the first step that sends what is not there or adds it twice, or the first rank
            that does not end with what it should have.
        """
        spec = self.spec
        if spec.ranks != len(group):
            raise InputError(f"'{spec.name}' is for {spec.ranks} ranks, the group has {len(group)}")
        self.check()
        part = spec.ranks / spec.chunks if spec.collective == "all_to_all" else 1 / spec.chunks
        rounds = [
            [
                Sent(move.source, move.target, 0, len(move.blocks) * part, Payload(move.blocks, move.reduces))
                for move in moves
            ]
            for moves in self._moves()
        ]
        return (Plan(spec.name, "ring", round_phases(group, rounds), spec.chunks),)

    def _moves(self) -> Iterator[list[Move]]:
        for messages in self.spec.steps:
            yield [Move(one.source, one.target, one.chunks, one.reduce) for one in messages]

    def check(self) -> None:
        """Follow the data through the steps; raise `InputError` where they are wrong."""
        spec = self.spec
        task = Task(Kind(spec.collective, (spec.root,)), spec.ranks, spec.chunks)
        ledger = Ledger()
        cells = [(rank, chunk) for rank in range(spec.ranks) for chunk in range(spec.chunks)]
        for rank, chunk in cells:
            if given := task.given(rank, chunk):
                ledger.values[rank, chunk] = given
        for step, moves in enumerate(self._moves()):
            where = f"{spec.name}, step {step}"
            arriving = [
                (move.target, chunk, ledger.read(move.source, chunk, where), move.reduces)
                for move in moves
                for chunk in move.blocks
            ]
            for target, chunk, value, reduces in arriving:
                ledger.write(target, chunk, value, where, reduces=reduces)
        for rank, chunk in cells:
            ledger.check(rank, chunk, task.wanted(rank, chunk), f"{spec.name}: {spec.collective}")
