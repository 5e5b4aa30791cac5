"""A capacity study as text: the highest load of each configuration, cheapest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, duration, money, percent
from clustersim.report.tables import WIDTH, add_row, grid, inset, line, to_text
from clustersim.study.capacity.service import ServiceSpec, latencies_of, work_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.study.capacity import Capacity, Searched

__all__ = ["objectives", "renderable", "summary"]

_LATENCIES = 2
"""Of a service that are columns of the table."""


def summary(study: Capacity, *, width: int = WIDTH) -> str:
    """Return the study as plain text, at most `width` columns wide."""
    return to_text(renderable(study), width=width)


def objectives(study: Capacity) -> str:
    """Return what has to be kept: `99 % of requests: TTFT within 500 ms, TPOT within 50 ms`."""
    spec = _spec(study)
    limits = [
        f"{latency.short} within {duration(latency.limit_s)}"
        for latency in latencies_of(spec)
        if latency.limit_s is not None
    ]
    return f"{percent(study.attainment)} of {work_of(spec)}: {', '.join(limits)}"


def _spec(study: Capacity) -> ServiceSpec:
    """Return the service of the first configuration that can be made."""
    return next(each.configuration for each in study.searched if each.configuration.scenario).spec


def renderable(study: Capacity) -> RenderableType:
    """Return the study for a `rich.console.Console`."""
    from rich.console import Group
    from rich.text import Text

    seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
    title = Text.assemble((f"{study.scenario.name}: {study.service}", "bold"), (f"   {seeds}", "dim"))
    parts: list[RenderableType] = [title, line(objectives(study))]
    if study.ranking:
        parts += ["", inset(_table(study))]
    return Group(*parts, "", *(line(text) for text in _findings(study)))


def _table(study: Capacity) -> RenderableType:
    priced = all(each.usd_per_million_requests is not None for each in study.ranking)
    spec = _spec(study)
    shown = latencies_of(spec)[:_LATENCIES]
    table = grid(
        ("configuration", "left"),
        ("highest load", "right"),
        ("of scenario's", "right"),
        *((f"{latency.short} p99", "right") for latency in shown),
        ("kept by", "right"),
        *(((f"per million {work_of(spec)}", "right"),) if priced else ()),
    )
    for each in study.ranking:
        best = each.best
        assert best is not None
        add_row(
            table,
            each.configuration.name,
            f"{each.requests_per_s:.4g}/s",
            f"{each.factor:.3g}x",
            *(_duration(best.metrics.get(f"{latency.metric}.p99")) for latency in shown),
            percent(best.attainment),
            *((money(each.usd_per_million_requests or 0.0),) if priced else ()),
        )
    return table


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _findings(study: Capacity) -> Iterator[str]:
    for each in study.searched:
        if each.reason and each.points:
            yield f"{each.configuration.name}: a run ended the search: {each.reason}"
        elif each.reason:
            yield f"{each.configuration.name} cannot run: {each.reason}"
        elif each.best is None:
            yield f"{each.configuration.name} keeps the objectives at no load: {_lowest(each)}"
        elif not any(not point.kept for point in each.points):
            yield f"{each.configuration.name} keeps them at all loads that were tried, to {each.factor:.3g}x"
    queueing = [each.configuration.name for each in study.ranking if _limited_by_queue(each)]
    if queueing:
        yield (
            f"{', '.join(queueing)}: at the next higher load enough requests were in time, but more and "
            "more of them were in the service; longer runs tell whether it goes on so"
        )
    loads = sum(len(each.points) for each in study.searched)
    yield f"{count(loads * len(study.seeds))} runs at {count(loads)} loads"


def _limited_by_queue(each: Searched) -> bool:
    """Whether the next higher load that was tried is missed for its growing queue alone."""
    above = next((point for point in each.points if point.factor > each.factor), None)
    best = each.best
    return above is not None and best is not None and above.overloaded and above.attainment >= best.attainment


def _lowest(each: Searched) -> str:
    if not each.points:
        return "none was simulated"
    point = each.points[0]
    return f"at {point.factor:.3g}x of the load {percent(point.attainment)} of requests keep them"
