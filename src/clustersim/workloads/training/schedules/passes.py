"""The items that a pipeline schedule puts in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple, Protocol

from clustersim.errors import InputError, Problem

__all__ = ["Order", "Pass", "PassKind", "Schedule", "alternate", "refuse_chunks"]

PassKind = Literal["forward", "backward", "weight"]


class Pass(NamedTuple):
    """One micro-batch through one chunk of layers.

    Parameters
    ----------
    kind
        `backward` computes the gradients of inputs and of weights; only the first where the order has a
        `weight` pass for the same micro-batch and chunk, which computes the second.
    micro_batch
        From 0.
    chunk
        Of the stage, from 0; chunk c of stage s is number c × stages + s of the model.
    """

    kind: PassKind
    micro_batch: int
    chunk: int = 0


Order = Sequence[Pass]
"""What one stage does, one after the other, in one iteration."""


class Schedule(Protocol):
    """A function from the shape of a pipeline to what one of its stages does."""

    def __call__(self, stages: int, stage: int, micro_batches: int, chunks: int) -> Order:
        """Return the order of stage number `stage` for so many micro-batches per iteration."""


def alternate(forwards: Iterable[Pass], backwards: Iterable[Pass], *, warm_up: int) -> Iterator[Pass]:
    """Yield `warm_up` forward passes, then one forward and one backward in turn, then what is left."""
    forward = iter(forwards)
    yield from islice(forward, warm_up)
    for item in backwards:
        yield from islice(forward, 1)
        yield item


def refuse_chunks(name: str, chunks: int) -> None:
    """Raise InputError for a schedule without interleaving if stages have several chunks."""
    if chunks != 1:
        message = f"'{name}' has one chunk per stage, not {chunks}; take the 'interleaved' schedule"
        raise InputError(Problem(("parallelism", "virtual_stages"), message))
