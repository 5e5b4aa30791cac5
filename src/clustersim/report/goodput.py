"""A study of days as text: what the time went to, and how often to checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, duration, percent, quantity, size
from clustersim.report.tables import WIDTH, add_row, grid, inset, line, to_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.study.goodput_intervals import IntervalPoint
    from clustersim.study.goodput_result import Estimate, Goodput

__all__ = ["USE_WORDS", "renderable", "summary"]

USE_WORDS = {
    "useful_share": "useful training",
    "lost_share": "training done again",
    "checkpoint_share": "standing still for checkpoints",
    "detection_share": "detection and diagnosis",
    "restart_share": "restart and reading the checkpoint",
    "waiting_share": "waiting for nodes",
    "reduced_share": "fewer replicas than planned",
}
"""What a share of the time is called, in the order in which they are shown."""

_DAY_S = 86400.0
_INTERVAL_WORDS = {
    "scenario": "of the scenario",
    "young": "Young's optimum",
    "daly": "Daly's optimum",
    "simulated": "best simulated",
}


def summary(study: Goodput, *, width: int = WIDTH) -> str:
    """Return the study as plain text, at most `width` columns wide."""
    return to_text(renderable(study), width=width)


def renderable(study: Goodput) -> RenderableType:
    """Return the study for a `rich.console.Console`."""
    from rich.console import Group

    parts = [*_head(study), "", _shares(study), "", *map(line, _findings(study))]
    intervals = [] if math.isinf(study.job.model.mtbf_s) else ["", _intervals(study), *_advice(study)]
    return Group(*parts, *intervals)


def _head(study: Goodput) -> Iterator[RenderableType]:
    from rich.text import Text

    job, model = study.job, study.job.model
    over = f"{study.days:g} days, {len(study.runs)} seed{'s' if len(study.runs) > 1 else ''}"
    yield Text.assemble((f"{study.scenario.name}: {job.name}", "bold"), (f"   {over}", "dim"))
    mtbf = "never fails" if math.isinf(model.mtbf_s) else f"fails every {_long(model.mtbf_s)} on average"
    nodes = f"{count(job.gpus)} GPUs in {count(model.nodes)} nodes and {count(model.spares)} spare"
    yield line(f"{nodes}; the job {mtbf} ({job.record})")
    yield line(f"iteration {duration(model.iteration_s)}; checkpoint {_checkpoint(study)}")
    yield line(
        f"after a failure: detection {duration(model.detection_s)}, restart {duration(model.restart_s)}, "
        f"reading {duration(model.load_s)}; repair of a node {_long(model.repair_s)}"
    )


def _checkpoint(study: Goodput) -> str:
    job, model = study.job, study.job.model
    rate = quantity(job.checkpoint.bandwidth_bytes_per_s, "B/s")
    beside = f", is written for {duration(model.write_s)} beside training" if model.write_s else ""
    every = f" every {count(model.steps)} iterations" if model.interval_s < study.days * _DAY_S else ""
    return f"{size(job.checkpoint.size_bytes)} at {rate}, stalls {duration(model.stall_s)}{every}{beside}"


def _shares(study: Goodput) -> RenderableType:
    metrics = study.metrics()
    table = grid(
        ("what the time went to", "left"), ("share", "right"), ("95 % interval", "left"), ("", "left")
    )
    for name, words in USE_WORDS.items():
        share = metrics[name]
        if share.mean:
            add_row(table, words, _fine(share.mean), _span(share), "█" * round(24 * share.mean))
    return inset(table)


def _findings(study: Goodput) -> Iterator[str]:
    metrics = study.metrics()
    expected = study.closed_form
    beside = "" if expected is None else f"; Daly's closed form, a node always at hand: {_fine(expected)}"
    yield f"goodput {_fine(metrics['goodput'].mean)}{_plus_minus(metrics['goodput'])}{beside}"
    product = study.job.product
    per_day = metrics[f"{product}_per_day"].mean
    most = study.job.product_per_day
    yield f"{quantity(per_day, '')} {product} per day, {quantity(most, '')} if nothing stopped the job"
    failures, nodes = metrics["failures"].mean, metrics["node_failures"].mean
    yield f"{failures:.1f} failures, {nodes:.1f} of them of nodes; {metrics['restarts'].mean:.1f} restarts"


def _intervals(study: Goodput) -> RenderableType:
    table = grid(
        ("time between checkpoints", "left"), ("", "right"), ("iterations", "right"), ("goodput", "right")
    )
    model, best = study.job.model, study.best
    for name, interval_s in study.intervals().items():
        steps = model.steps_near(interval_s)
        found = ""
        if name == "scenario":
            found = _fine(study.metrics()["goodput"].mean)
        elif name == "simulated" and best is not None:
            found = _fine(best.goodput)
        add_row(table, _INTERVAL_WORDS[name], duration(interval_s), count(steps), found)
    return inset(table)


def _advice(study: Goodput) -> Iterator[RenderableType]:
    """Yield how flat the optimum is."""
    good = [point for point in study.points if point.as_good]
    if good and len(study.runs) > 1:
        yield line(f"no worse than the best within its error: {_reach(good)}")


def _reach(points: list[IntervalPoint]) -> str:
    times = [point.interval_s for point in points]
    low, high = duration(min(times)), duration(max(times))
    return low if low == high else f"{low} to {high}"


def _span(share: Estimate) -> str:
    if share.low is None or share.high is None:
        return ""
    return f"{_fine(max(share.low, 0.0))} … {_fine(share.high)}"


def _plus_minus(share: Estimate) -> str:
    if share.low is None or share.high is None:
        return ""
    return f" ± {50.0 * (share.high - share.low):.2f} %"


def _fine(share: float) -> str:
    """Write a share with two decimals where it is a few percent away from all or nothing."""
    value = 100.0 * share
    return f"{value:.2f} %" if value else percent(share)


def _long(seconds: float) -> str:
    """Write a time that may be days."""
    return duration(seconds) if seconds < 2 * _DAY_S else f"{seconds / _DAY_S:.1f} days"
