"""Collectives without relays: every message goes straight to its target.

**Source:** NCCL user guide, point-to-point communication (all-to-all, gather and scatter as grouped
sends and receives); one-shot and two-shot all-reduce as serving engines have them (TensorRT-LLM,
vLLM).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Payload, Phase, Plan, exchange

__all__ = ["direct_plans", "one_shot_plans", "send_recv_plans", "uneven_plans"]


def direct_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan a collective in which each rank sends each other its part at once.

    *Equation.* All-to-all, all-gather and reduce-scatter ``T = α + (S/N) / x``, x the pace of one of
    the N·(N-1) connections; all-reduce (two-shot: reduce-scatter, then all-gather) twice that;
    gather and scatter the same with the N - 1 connections of the root, broadcast and reduce
    ``T = α + S / x`` with these.
    """
    ranks, root = len(group), kind.root
    if kind.name == "all_reduce":
        phases: tuple[Phase, ...] = (_every(group, _scattered, True), _every(group, _gathered, False))
        return (Plan("direct", "two_shot", phases, ranks),)
    if kind.name == "all_to_all":
        phase = _every(group, lambda source, target: (source * ranks + target,), False)
        return (Plan("direct", "direct", (phase,), ranks * ranks),)
    if kind.name == "reduce_scatter":
        return (Plan("direct", "direct", (_every(group, _scattered, True),), ranks),)
    if kind.name == "all_gather":
        return (Plan("direct", "direct", (_every(group, _gathered, False),), ranks),)
    others = [rank for rank in range(ranks) if rank != root]
    rises, whole = kind.name in ("reduce", "gather"), kind.name in ("reduce", "broadcast")
    pairs = [(rank, root) if rises else (root, rank) for rank in others]
    phase = exchange(
        [group.connect(group.gpus[source], group.gpus[target]) for source, target in pairs],
        [1.0 if whole else 1 / ranks] * len(pairs),
        lambda index, _: Payload((0 if whole else others[index],), kind.name == "reduce"),
    )
    return (Plan("direct", "direct", (phase,), 1 if whole else ranks),)


def one_shot_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-reduce in which each rank sends all others everything.

    *Equation.* ``T = α + S / x``, x the pace of one of the N·(N-1) connections: few bytes only.
    """
    phase = _every(group, lambda _, __: (0,), True, part=1.0)
    return (Plan("one-shot", "one_shot", (phase,), 1),)


def send_recv_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan one message. *Equation.* ``T = α + S/r``."""
    source, target = kind.ranks or (0, 1)
    connection = group.connect(group.gpus[source], group.gpus[target])
    return (Plan("direct", "send_recv", (exchange((connection,), (1.0,), lambda _, __: Payload((0,))),), 1),)


def uneven_plans(group: Group, parts: np.ndarray) -> tuple[Plan, ...]:
    """Plan an all-to-all in which each pair of ranks has bytes of its own.

    *Equation.* ``T = α + max_l Σ bytes over l / C_l``: as macro-flow all messages end together, the
    shortest time possible. Step by step they share links per connection, and the link that holds up
    most may idle at times: it takes that long or longer.

    Parameters
    ----------
    parts
        What rank i sends rank j, as a fraction of what all send; nothing goes over the diagonal.
    """
    ranks = len(group)
    sources, targets = (ends.tolist() for ends in np.nonzero(parts))
    phase = exchange(
        [
            group.connect(group.gpus[one], group.gpus[other])
            for one, other in zip(sources, targets, strict=True)
        ],
        parts[sources, targets].tolist(),
        lambda index, _: Payload((sources[index] * ranks + targets[index],)),
    )
    return (Plan("direct", "direct", (phase,), ranks * ranks),)


def _scattered(_: int, target: int) -> Sequence[int]:
    return (target,)


def _gathered(source: int, _: int) -> Sequence[int]:
    return (source,)


def _every(
    group: Group, blocks: Callable[[int, int], Sequence[int]], reduces: bool, *, part: float | None = None
) -> Phase:
    """A message from each rank to each other, of one rank's part of the bytes where not said otherwise."""
    pairs = list(_pairs(len(group)))
    gpus, connect = group.gpus, group.connect
    return exchange(
        [connect(gpus[source], gpus[target]) for source, target in pairs],
        [1 / len(group) if part is None else part] * len(pairs),
        lambda index, _: Payload(blocks(*pairs[index]), reduces),
    )


def _pairs(ranks: int) -> Iterator[tuple[int, int]]:
    return ((source, target) for source in range(ranks) for target in range(ranks) if source != target)
