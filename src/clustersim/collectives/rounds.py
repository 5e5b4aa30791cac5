"""Algorithms made of rounds: in each, ranks exchange blocks of data pair by pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clustersim.collectives.group import Group
from clustersim.collectives.plan import Payload, Phase, exchange

__all__ = ["Move", "phases_of"]


class Move(NamedTuple):
    """One message of a round: blocks of data from one rank to another."""

    source: int
    target: int
    blocks: Sequence[int]
    reduces: bool = False


def phases_of(group: Group, rounds: Iterable[Sequence[Move]], *, block: float) -> tuple[Phase, ...]:
    """Return one phase per round that has messages; `block` is a block's part of the collective's size."""
    return tuple(_phase(group, moves, block) for moves in rounds if moves)


def _phase(group: Group, moves: Sequence[Move], block: float) -> Phase:
    gpus = group.gpus
    return exchange(
        [group.connect(gpus[move.source], gpus[move.target]) for move in moves],
        [len(move.blocks) * block for move in moves],
        lambda index, _: Payload(moves[index].blocks, moves[index].reduces),
    )
