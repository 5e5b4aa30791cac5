"""Which requests kept what was promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.spec.objectives import SloSpec
from clustersim.workloads.inference.measures.served import Served

__all__ = ["Attainment", "attainment"]

_OBJECTIVES = {"ttft_s": "ttft", "tpot_s": "tpot", "e2e_s": "e2e"}
_NEVER = float("inf")


@dataclass(frozen=True, eq=False)
class Attainment:
    """Per request.

    Parameters
    ----------
    promised
        Whether it has any objective.
    known
        Whether it is decided: it is finished, or unfinished and has already broken one.
    kept
        Whether it kept all objectives, as far as known.
    """

    promised: np.ndarray
    known: np.ndarray
    kept: np.ndarray

    def share(self, chosen: np.ndarray) -> float | None:
        """Return the share of chosen requests that kept all, among those of which it is known."""
        decided = chosen & self.promised & self.known
        return float(self.kept[decided].mean()) if decided.any() else None


def attainment(served: Served, table: Mapping[str, np.ndarray]) -> Attainment:
    """Compare every request with the objectives of its tenant.

    A request without a time per output token (one token) keeps any objective on it.
    """
    slos = [tenant.slo for tenant in served.tenants] or [served.slo]
    tenant = served.columns.tenant
    finished = served.columns.finished
    missed = np.zeros(len(finished), dtype=bool)
    promised = np.zeros(len(finished), dtype=bool)
    for name, objective in _OBJECTIVES.items():
        limit_s = np.array([_limit(slo, objective) for slo in slos])[tenant]
        so_far_s = np.where(finished, 0.0, served.now_s - table["arrival_s"]) if name != "tpot_s" else 0.0
        value_s = np.where(np.isfinite(table[name]), table[name], so_far_s)
        missed |= value_s > limit_s
        promised |= limit_s < _NEVER
    return Attainment(promised, finished | missed, ~missed)


def _limit(slo: SloSpec, objective: str) -> float:
    given: float | None = getattr(slo, objective)
    return _NEVER if given is None else given
