"""Why a layout takes the time that it takes, beside the fastest one."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.study.plan.layouts import Candidate

__all__ = ["PARTS", "reason"]

PARTS: Mapping[str, str] = {
    "compute_s": "kernels",
    "bubble_s": "bubble",
    "exposed_tensor_s": "exposed TP",
    "exposed_pipeline_s": "exposed PP",
    "exposed_context_s": "exposed CP",
    "exposed_expert_s": "exposed EP",
    "exposed_data_s": "exposed DP",
    "exposed_offload_s": "exposed offload",
    "host_s": "host",
    "data_stall_s": "waiting for samples",
    "waiting_s": "waiting",
}
"""Parts of an iteration, which add up to it, in few words."""

_WORTH_SAYING = 0.005
"""Part of the iteration below which a difference is not told."""


def reason(candidate: Candidate, best: Candidate) -> str:
    """Return where a layout's time goes, against the best; of the best, what it still loses."""
    own = _parts(candidate)
    if candidate is best:
        lost = _largest({name: share for name, share in own.items() if name != "compute_s"})
        kernels = f"kernels {own['compute_s'] / best.iteration_s:.0%}"
        return f"best: {kernels}" + (f", then {_words(lost, own, best)}" if lost else "")
    theirs = _parts(best)
    more = {name: own[name] - theirs[name] for name in PARTS}
    worst = _largest(more)
    if worst is None or more[worst] < _WORTH_SAYING * best.iteration_s:
        return "as the best, within 0.5 %"
    said = f"{PARTS[worst]} +{more[worst] / best.iteration_s:.1%}"
    if worst == "compute_s":
        said += _why_kernels(candidate, best)
    gained = min(more, key=more.__getitem__)
    if -more[gained] >= _WORTH_SAYING * best.iteration_s:
        said += f"; {PARTS[gained]} {more[gained] / best.iteration_s:.1%}"
    return said


def _parts(candidate: Candidate) -> dict[str, float]:
    assert candidate.simulated is not None
    return {name: candidate.simulated.metrics.get(name, 0.0) for name in PARTS}


def _largest(parts: Mapping[str, float]) -> str | None:
    found = max(parts, key=parts.__getitem__)
    return found if parts[found] > 0.0 else None


def _words(part: str, own: Mapping[str, float], best: Candidate) -> str:
    return f"{PARTS[part]} {own[part] / best.iteration_s:.1%}"


def _why_kernels(candidate: Candidate, best: Candidate) -> str:
    """Say what makes kernels take longer, where the layout shows it."""
    own, theirs = candidate.layout, best.layout
    if own["recompute"] != theirs["recompute"] or own["recompute_layers"] != theirs["recompute_layers"]:
        return " (recomputes more)" if own["recompute"] != "none" else ""
    if own["tensor"] > theirs["tensor"]:
        return " (smaller products)"
    return " (smaller micro-batches)" if own["micro_batch"] < theirs["micro_batch"] else ""
