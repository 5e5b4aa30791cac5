"""FLOPs and bytes of each row of a step log: how well the GPUs of a replica are used over time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.step_work import StepWork
from clustersim.workloads.inference.replica.step_log import StepLog

__all__ = ["row_work"]

_MOST_SIZES = 64


def row_work(log: StepLog, cost: ServingCost) -> tuple[np.ndarray, np.ndarray]:
    """Return FLOPs and bytes moved in each row, all steps and all GPUs of the replica.

    *Equation.* steps · dense(tokens per step) + attention, with attention's FLOPs by pairs of a
    token and one that it attends to, and its bytes by tokens whose keys and values are read.
    dense() is counted for up to 64 sizes of a step, and linear between them.

    **Valid when** a pair costs as much in a prompt as in a decode, which holds but for the projections that
    latent attention saves in decodes. **Checked by:** tests/workloads/test_inference_measures.py.
    """
    if not len(log):
        return np.empty(0), np.empty(0)
    steps = log.column("steps").astype(float)
    tokens, sampled = log.column("tokens") / steps, log.column("batch").astype(float)
    flops, moved = _dense(cost, tokens, sampled)
    pair = cost.context_work
    return (
        steps * flops + pair.flops * log.column("pairs"),
        steps * moved + pair.bytes_moved * log.column("kv_tokens"),
    )


def _dense(cost: ServingCost, tokens: np.ndarray, sampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Work without attention of one step of each row."""
    bare = cost.dense_work(1, 0)
    body = _counted(tokens, lambda size: cost.dense_work(size, 0))
    head = _counted(sampled, lambda rows: cost.dense_work(1, rows).plus(bare.times(-1.0)))
    return body[0] + head[0], body[1] + head[1]


def _counted(sizes: np.ndarray, count: Callable[[int], StepWork]) -> tuple[np.ndarray, np.ndarray]:
    """FLOPs and bytes at each size, counted for a few and linear between them."""
    known = np.unique(np.rint(sizes).astype(np.int64))
    if len(known) > _MOST_SIZES:
        known = known[np.unique(np.linspace(0, len(known) - 1, _MOST_SIZES).astype(int))]
    work = np.array([count(size) for size in known.tolist()])
    return np.interp(sizes, known, work[:, 0]), np.interp(sizes, known, work[:, 1])
