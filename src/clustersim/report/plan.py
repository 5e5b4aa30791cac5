"""A plan as text: the ranking with reasons, the Pareto front, what became of the other layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, duration, percent, size
from clustersim.report.tables import WIDTH, add_row, grid, inset, line, to_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.study.plan import Candidate, Plan

__all__ = ["renderable", "summary"]

_SHOWN = 8
"""Slower layouts of the Pareto front that the text shows, evenly over it; `layouts.csv` has all."""


def summary(plan: Plan, *, width: int = WIDTH) -> str:
    """Return the plan as plain text, at most `width` columns wide."""
    return to_text(renderable(plan), width=width)


def renderable(plan: Plan) -> RenderableType:
    """Return the plan for a `rich.console.Console`."""
    from rich.console import Group
    from rich.text import Text

    shown = {candidate.number for candidate in plan.ranking}
    further = [candidate for candidate in plan.pareto if candidate.number not in shown]
    parts: list[RenderableType] = [Text(_title(plan), style="bold"), inset(_table(plan, plan.ranking))]
    if further:
        many = f" ({_SHOWN} of {len(further)})" if len(further) > _SHOWN else ""
        words = f"Slower, but not beaten in time, memory and network together, up to {plan.within:g}×{many}:"
        parts += ["", line(words), inset(_table(plan, _spread(further)))]
    return Group(*parts, "", *(line(text) for text in _counts(plan)))


def _spread(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    if len(candidates) <= _SHOWN:
        return candidates
    return [candidates[place * (len(candidates) - 1) // (_SHOWN - 1)] for place in range(_SHOWN)]


def _title(plan: Plan) -> str:
    spec = plan.best.spec
    sequence = f", {count(spec.sequence)} tokens" if spec.sequence else ""
    return (
        f"{spec.model} on {count(spec.gpus)} GPUs, global batch {count(spec.global_batch or 0)}{sequence}, "
        f"{spec.precision}"
    )


def _table(plan: Plan, candidates: Sequence[Candidate]) -> RenderableType:
    table = grid(
        ("", "right"),
        ("layout", "left"),
        ("step", "right"),
        ("MFU", "right"),
        ("memory", "right"),
        ("network", "right"),
        ("why", "left"),
    )
    front = {candidate.number for candidate in plan.pareto}
    for candidate in candidates:
        row = plan.found.simulated.index(candidate) + 1
        metrics = {} if candidate.simulated is None else candidate.simulated.metrics
        add_row(
            table,
            f"{row}{'*' if candidate.number in front else ' '}",
            candidate.words,
            duration(candidate.iteration_s),
            percent(metrics["mfu"]),
            size(candidate.assessed.memory_bytes),
            size(candidate.assessed.network_bytes),
            plan.reason(candidate),
        )
    return table


def _counts(plan: Plan) -> Sequence[str]:
    counts = plan.counts
    unfit = ", ".join(
        f"{count(number)} mostly {use.replace('_', ' ')}" for use, number in plan.unfit_by_use.items()
    )
    return [
        f"{count(counts['enumerated'])} layouts: {count(counts['simulated'])} simulated, "
        f"{count(counts['pruned'])} ruled out by their bound, {count(counts['do not fit'])} do not fit into "
        f"{size(plan.memory_bytes)}" + (f" ({unfit})" if unfit else ""),
        *([f"{count(counts['cannot be divided'])} cannot be divided"] if counts["cannot be divided"] else []),
        *([f"{count(counts['failed'])} failed"] if counts["failed"] else []),
        "* nothing is better in time, memory and network together; network: bytes that leave nodes, per GPU",
        "why: seconds that it takes more (or less) than the best, over the best's step",
    ]
