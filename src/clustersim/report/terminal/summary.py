"""The summary of a run as text: what happened to each workload, to the fabric, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, duration
from clustersim.report.tables import WIDTH, add_row, grid, inset, line, to_text
from clustersim.report.terminal.fabric import fabric_lines
from clustersim.report.terminal.lines import WIDE
from clustersim.report.terminal.ranking import ranking_service_lines
from clustersim.report.terminal.serving import service_lines
from clustersim.report.terminal.training import ranking_training_lines, training_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.results import Result
    from clustersim.workloads.base import Outcome

__all__ = ["renderable", "summary"]


def summary(result: Result, *, width: int = WIDTH) -> str:
    """Return the summary as plain text, at most `width` columns wide."""
    return to_text(renderable(result, width=width), width=width)


def renderable(result: Result, *, width: int = WIDTH) -> RenderableType:
    """Return the summary for a `rich.console.Console`, which adds colour on a terminal.

    Below 96 columns the table of links leaves out tiers.
    """
    from rich.console import Group

    parts: list[RenderableType] = [*_head(result)]
    for outcome in result.outcomes.values():
        parts += ["", *_workload(outcome, width)]
    parts += ["", *fabric_lines(result.fabric, wide=width >= WIDE), "", *_bottlenecks(result)]
    return Group(*parts)


def _head(result: Result) -> list[RenderableType]:
    from rich.text import Text

    took = f"{duration(result.simulated_s)} simulated in {duration(result.wall_s)}"
    origin = f"seed {result.seed} · clustersim {result.version} · {result.content_hash[:12]}"
    lines: list[RenderableType] = [
        Text.assemble((result.scenario.name, "bold"), (f"   {took} · {origin}", "dim"), overflow="fold")
    ]
    if not result.complete:
        why = "; ".join(result.notes) or "the run was stopped before its end"
        lines.append(
            Text(f"PARTIAL RESULT: {why}. Figures are of what had happened until then.", style="bold red")
        )
    else:
        lines += [Text(f"Note: {note}", style="yellow") for note in result.notes]
    return lines


def _workload(outcome: Outcome, width: int) -> list[RenderableType]:
    body = _SECTIONS.get(outcome.kind, _other)(outcome, width)
    notes = [line(f"Note: {note}", style="yellow") for note in outcome.notes]
    if not outcome.complete:
        notes.insert(0, line("Had not finished when the run ended.", style="yellow"))
    return [_title(outcome), *body, *notes]


def _title(outcome: Outcome) -> RenderableType:
    from rich.text import Text

    facts = outcome.facts
    parts = [str(facts["model"])] if "model" in facts else []
    if "gpus" in facts:
        what = f"× {facts['accelerator']}" if "accelerator" in facts else "GPUs"
        parts.append(f"on {count(float(facts['gpus']))} {what}")
    if "replicas" in facts and outcome.kind.endswith("inference"):
        replicas = int(float(facts["replicas"]))
        parts.append(f"in {replicas} replica{'s' if replicas != 1 else ''}")
    return Text.assemble((outcome.name, "bold cyan"), f"  {outcome.kind}: {' '.join(parts)}".rstrip(": "))


def _other(outcome: Outcome, width: int) -> list[RenderableType]:
    table = grid(("metric", "left"), ("value", "right"))
    for name, value in outcome.metrics.items():
        add_row(table, name, f"{value:.6g}")
    return [inset(table)]


_SECTIONS: Mapping[str, Callable[[Outcome, int], list[RenderableType]]] = {
    "training": training_lines,
    "inference": service_lines,
    "ranking-training": ranking_training_lines,
    "ranking-inference": ranking_service_lines,
}
"""By kind of workload."""


def _bottlenecks(result: Result) -> list[RenderableType]:
    from rich.text import Text

    return [Text("where the time goes", style="bold cyan"), *map(line, result.bottlenecks().values())]
