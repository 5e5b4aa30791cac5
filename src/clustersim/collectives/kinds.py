"""The kinds of collectives: their names, and the bus factors of nccl-tests."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.errors import InputError, did_you_mean

__all__ = ["BARRIER_BYTES", "KINDS", "PASSES", "POINT_TO_POINT", "Kind", "bus_bytes_factor", "parse_kind"]

KINDS = (
    "all_reduce",
    "reduce_scatter",
    "all_gather",
    "broadcast",
    "reduce",
    "gather",
    "scatter",
    "all_to_all",
    "all_to_all_v",
    "send_recv",
    "barrier",
)
PASSES = {"all_reduce": 2, "reduce_scatter": 1, "all_gather": 1}
"""Times that each byte passes a rank's port where every rank relays for all others."""

POINT_TO_POINT = ("gather", "scatter", "all_to_all", "all_to_all_v", "send_recv")
"""Kinds that NCCL makes of its sends and receives, whatever the algorithm of the others."""

BARRIER_BYTES = 4.0
"""A barrier is an all-reduce of one float, as `torch.distributed.barrier` makes it over NCCL.
**Source:** PyTorch, ProcessGroupNCCL::barrier."""

_FACTOR_ONE = ("broadcast", "reduce", "send_recv", "barrier")


class Kind(NamedTuple):
    """A kind of collective with the ranks that it names.

    Parameters
    ----------
    ranks
        The root of broadcast, reduce, gather and scatter; source and target of send_recv;
        otherwise none. For `all_to_all_v` the number under which its matrix is kept.
    """

    name: str
    ranks: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """How people write the name: `all-reduce`."""
        return self.name.replace("_", "-")

    @property
    def root(self) -> int:
        """The root; rank 0 where none is named."""
        return self.ranks[0] if self.ranks else 0


def parse_kind(text: str) -> Kind:
    """Return the kind that `all_reduce`, `broadcast:3` or `send_recv:0:5` names.

    Raises
    ------
    InputError
        For an unknown name, or ranks that are not numbers.
    """
    name, *ranks = text.split(":")
    if name not in KINDS:
        raise InputError(f"unknown collective '{text}'.{did_you_mean(name, KINDS)}")
    try:
        return Kind(name, tuple(map(int, ranks)))
    except ValueError:
        raise InputError(f"'{text}' names a rank that is no number; expected as in 'broadcast:3'") from None


def bus_bytes_factor(kind: str, *, ranks: int) -> float:
    """Return the factor of nccl-tests: bus bandwidth = factor · size / time.

    1 for broadcast, reduce and send_recv (and barrier, which nccl-tests does not have);
    2(N-1)/N for all-reduce; (N-1)/N for all others.

    **Source:** NVIDIA nccl-tests, doc/PERFORMANCE.md and the `GetBw` functions of src/.
    """
    name = parse_kind(kind).name
    if name in _FACTOR_ONE:
        return 1.0
    return PASSES.get(name, 1) * (ranks - 1) / ranks
