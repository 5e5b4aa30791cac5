"""Workloads side by side as text: what each is about, and what its techniques do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, duration, money, percent, quantity, size
from clustersim.report.tables import WIDTH, add_row, grid, inset, line, to_text
from clustersim.study.capacity.service import ServiceSpec, latencies_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.study.explain import Explained, Explanation, Trial

__all__ = ["renderable", "summary"]

_SHOWN = 3
"""Resources of a bottleneck that are named."""

_LEAST_SHARE = 0.05


def summary(study: Explanation, *, width: int = WIDTH) -> str:
    """Return the tables as plain text, at most `width` columns wide."""
    return to_text(renderable(study), width=width)


def renderable(study: Explanation) -> RenderableType:
    """Return the tables for a `rich.console.Console`."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [inset(_side_by_side(study.workloads))]
    for each in study.workloads:
        title = Text.assemble((each.name, "bold"), (f"   {each.outcome.kind}", "dim"))
        parts += ["", title, inset(_techniques(each))]
        parts += [line(text) for text in _left_out(each)]
    parts += [
        "",
        line("speed-up: time of devices per unit of work at full load, without the technique over with it"),
    ]
    return Group(*parts)


def _side_by_side(workloads: Sequence[Explained]) -> RenderableType:
    table = grid(("", "left"), *((each.name, "left") for each in workloads), unbroken=1)
    for title, cell in _ROWS:
        cells = [cell(each) for each in workloads]
        if any(cells):
            add_row(table, title, *(text or "-" for text in cells))
    return table


def _objective(each: Explained) -> str:
    if not isinstance(each.spec, ServiceSpec):
        return "short iterations"
    limits = [
        f"{latency.short} within {duration(latency.limit_s)}"
        for latency in latencies_of(each.spec)
        if latency.limit_s is not None
    ]
    kept = each.outcome.metrics.get("slo_attainment")
    text = ", ".join(limits) or "answers in time"
    return text if kept is None or not limits else f"{text}: kept by {percent(kept)}"


def _duration(each: Explained) -> str:
    metrics = each.outcome.metrics
    if "iteration_s.mean" in metrics:
        batch = each.outcome.facts.get("global_batch")
        of = f" for {count(float(batch))} samples" if batch is not None else ""
        return f"iteration {duration(metrics['iteration_s.mean'])}{of}"
    for name, words in (("latency_s", "query"), ("e2e_s", "request")):
        if f"{name}.p50" in metrics:
            ends = " / ".join(duration(metrics[f"{name}.{p}"]) for p in ("p50", "p99"))
            return f"{words} p50 / p99 {ends}"
    return ""


def _devices(each: Explained) -> str:
    facts = each.outcome.facts
    name = facts.get("accelerator", "GPU")
    return f"{count(float(facts['gpus']))} × {name}" if "gpus" in facts else ""


def _memory(each: Explained) -> str:
    taken = each.outcome.metrics.get("memory_bytes")
    return "" if taken is None else f"{size(taken)} of the fullest GPU"


def _need(name: str, words: str) -> Callable[[Explained], str]:
    def cell(each: Explained) -> str:
        value = each.outcome.metrics.get(f"work.{name}_per_unit")
        unit = each.outcome.facts.get("work.unit", "unit")
        return "" if value is None else f"{quantity(value, words)} per {unit}"

    return cell


def _device_time(each: Explained) -> str:
    return "" if each.cost is None else f"{duration(each.cost.device_s)} of a GPU per {each.cost.unit}"


def _price(each: Explained) -> str:
    cost = each.cost
    return (
        ""
        if cost is None or cost.usd is None
        else f"{money(1e6 * cost.usd)} per million {_plural(cost.unit)}"
    )


def _energy(each: Explained) -> str:
    cost = each.cost
    return "" if cost is None or cost.joules is None else f"{quantity(cost.joules, 'J')} per {cost.unit}"


def _bottleneck(each: Explained) -> str:
    shares = list(each.bottleneck.items())
    named = [(name, share) for name, share in shares[:_SHOWN] if share >= _LEAST_SHARE] or shares[:1]
    return ", ".join(f"{name.replace('_', ' ')} {percent(share)}" for name, share in named)


def _helps_most(each: Explained) -> str:
    best = each.best
    if best is None:
        return "none of those that were tried" if each.ranking else ""
    return f"{best.technique} ({best.words}): {best.speed_up:.3g}x"


def _plural(unit: str) -> str:
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


_ROWS: Sequence[tuple[str, Callable[[Explained], str]]] = (
    ("kind", lambda each: each.outcome.kind),
    ("model", lambda each: str(each.outcome.facts.get("model", ""))),
    ("objective", _objective),
    ("time of a unit of work", _duration),
    ("devices", _devices),
    ("memory", _memory),
    ("arithmetic", _need("flops", "FLOP")),
    ("through GPU memory", _need("hbm_bytes", "B")),
    ("over the network", _need("network_bytes", "B")),
    ("messages", _need("messages", "")),
    ("time of devices, full load", _device_time),
    ("price", _price),
    ("energy", _energy),
    ("where the time goes", _bottleneck),
    ("would help most", _helps_most),
)


def _techniques(each: Explained) -> RenderableType:
    table = grid(
        ("technique", "left"),
        ("tried", "left"),
        ("now", "left"),
        ("speed-up", "right"),
        (_latency_title(each), "right"),
        ("same answers", "left"),
    )
    for trial in each.ranking:
        add_row(
            table,
            trial.technique,
            trial.words,
            "on" if trial.is_on else "off",
            f"{trial.speed_up:.3g}x",
            _change(trial),
            "yes" if trial.same_answers else "to be checked",
        )
    return table


def _latency_title(each: Explained) -> str:
    return (each.cost.latency if each.cost is not None else "") or "latency"


def _change(trial: Trial) -> str:
    ratio = trial.latency_ratio
    if ratio is None:
        return "-"
    return f"{ratio:.3g}x" if ratio > 2.0 else f"{100.0 * (ratio - 1.0):+.3g} %"


def _left_out(each: Explained) -> Iterator[str]:
    for trial in each.trials:
        if trial.reason:
            yield f"{trial.technique}: not tried, {trial.reason}"
