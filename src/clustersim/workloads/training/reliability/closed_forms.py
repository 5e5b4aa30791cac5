"""Closed forms of checkpointing under failures that come at random."""

from __future__ import annotations

import math

__all__ = ["daly_goodput", "daly_interval_s", "first_order_goodput", "young_interval_s"]


def young_interval_s(stall_s: float, mtbf_s: float) -> float:
    """Return the training time between checkpoints that loses least, to first order.

    *Equation.* τ = √(2·δ·M), with δ the time of a checkpoint and M the mean time between failures.

    **Valid when** δ ≪ M, failures are exponential, and none falls into checkpoint or restart.
    **Source:** Young, "A first order approximation to the optimum checkpoint interval", Communications
    of the ACM 17(9), 1974.
    **Checked by:** tests/workloads/test_training_reliability.py.
    """
    return math.sqrt(2.0 * stall_s * mtbf_s)


def daly_interval_s(stall_s: float, mtbf_s: float) -> float:
    """Return the training time between checkpoints that loses least, to higher order.

    *Equation.* With x = √(δ/2M): τ = √(2·δ·M)·(1 + x/3 + x²/9) − δ for δ < 2M, else τ = M.
    Without failures M and τ are infinite.

    **Valid when** failures are exponential; they may fall into checkpoint and restart.
    **Source:** Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps",
    Future Generation Computer Systems 22(3), 2006, equation 37.
    **Checked by:** tests/workloads/test_training_reliability.py: the paper's three examples, and the
    maximum of `daly_goodput`.
    """
    if math.isinf(mtbf_s):
        return math.inf
    if stall_s >= 2.0 * mtbf_s:
        return mtbf_s
    root = math.sqrt(stall_s / (2.0 * mtbf_s))
    return young_interval_s(stall_s, mtbf_s) * (1.0 + root / 3.0 + root * root / 9.0) - stall_s


def daly_goodput(interval_s: float, *, stall_s: float, recovery_s: float, mtbf_s: float) -> float:
    """Return the expected share of time that is useful, over a long run.

    *Equation.* τ / (M·e^(R/M)·(e^((τ+δ)/M) − 1)): useful time over Daly's expected wall time of a
    segment of τ with a checkpoint of δ, recovery R. Without failures τ / (τ + δ).

    **Valid when** failures are exponential, the checkpoint is synchronous, a node is always at hand, and a
    failure during recovery starts recovery anew.
    **Source:** Daly, 2006, equation 20 (the "complete" cost function).
    **Checked by:** tests/workloads/test_training_reliability.py, against the simulation.
    """
    if math.isinf(mtbf_s):
        return interval_s / (interval_s + stall_s) if math.isfinite(interval_s) else 1.0
    exponent = (interval_s + stall_s) / mtbf_s
    if exponent + recovery_s / mtbf_s > _LARGEST_EXPONENT:
        return 0.0
    return interval_s / (mtbf_s * math.exp(recovery_s / mtbf_s) * math.expm1(exponent))


def first_order_goodput(interval_s: float, *, stall_s: float, recovery_s: float, mtbf_s: float) -> float:
    """Return the expected share of useful time, to first order.

    *Equation.* (1 − (R + τ/2)/M) / (1 + δ/τ).

    **Valid when** R + τ/2 ≪ M.
    **Source:** Kokolis et al., "Revisiting Reliability in Large-Scale Machine Learning Research Clusters",
    HPCA 2025 (arXiv:2410.21680): expected effective training time ratio, queueing left out.
    **Checked by:** tests/workloads/test_training_reliability.py.
    """
    return (1.0 - (recovery_s + interval_s / 2.0) / mtbf_s) / (1.0 + stall_s / interval_s)


_LARGEST_EXPONENT = 700.0
