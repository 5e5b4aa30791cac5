"""Pictures of a capacity study: latency over load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clustersim.errors import InputError
from clustersim.report.capacity import objectives
from clustersim.report.style import (
    BLUE,
    CYAN,
    FAINT,
    GREEN,
    INK,
    PURPLE,
    RED,
    YELLOW,
    Picture,
    house_style,
    legend_outside,
    log_seconds,
    stacked_picture,
)
from clustersim.study.capacity.service import latencies_of, work_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.study.capacity import Capacity, Searched

__all__ = ["CapacityPlots", "latency_over_load"]

_COLORS = (BLUE, RED, GREEN, PURPLE, CYAN, YELLOW)
_MARKS = "osD^vP"
_MOST = 6
_SMALL: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8.5, "color": INK}


@dataclass(frozen=True)
class CapacityPlots:
    """Pictures of one study; each method returns a matplotlib figure."""

    study: Capacity

    def latency(self) -> Picture:
        """Draw p50 and p99 over the requests answered per second, with the objectives."""
        return latency_over_load(self.study)

    def all(self) -> Iterator[tuple[str, Picture]]:
        """Yield file name and picture of all that there is data for."""
        if self.study.ranking:
            yield "latency", self.latency()


@house_style
def latency_over_load(study: Capacity) -> Picture:
    """Draw latency over load, one line per configuration (the first six of the ranking).

    Solid: p99; dashed: p50. The vertical line of a configuration is its capacity, the horizontal one the
    objective.
    """
    shown = study.ranking[:_MOST]
    if not shown:
        raise InputError("no configuration keeps the objectives at any load, so there is nothing to draw")
    spec = shown[0].configuration.spec
    panels = [latency for latency in latencies_of(spec) if latency.limit_s is not None]
    picture, stacked = stacked_picture(len(panels), 8.4, 4.2 if len(panels) == 1 else 2.6)
    for axes, panel in zip(stacked, panels, strict=True):
        for number, (each, label) in enumerate(zip(shown, _labels(shown), strict=True)):
            _draw(axes, each, panel.metric, number, label)
        limit_s = panel.limit_s
        assert limit_s is not None  # as chosen
        axes.axhline(limit_s, color=FAINT, lw=1.2, ls=(0, (4, 3)))
        axes.annotate("objective", (0.0, limit_s), (4, 3), xycoords=axes.get_yaxis_transform(), **_SMALL)
        axes.set(yscale="log", ylabel=panel.words)
        log_seconds(axes.yaxis)
    stacked[0].set_title(f"{study.service}: {objectives(study)}", loc="left")
    stacked[-1].set_xlabel(f"{work_of(spec)} per second (sent); solid p99, dashed p50")
    handles, labels = stacked[0].get_legend_handles_labels()
    legend_outside(stacked[0], handles=handles, labels=labels)
    return picture


def _labels(shown: Sequence[Searched]) -> list[str]:
    """Return what tells the configurations apart: changes that all of them share are left out."""
    changes = [each.configuration.changes for each in shown]
    telling = [path for path in changes[0] if len({str(each[path]) for each in changes}) > 1]
    return [
        ", ".join(f"{path.rpartition('.')[2]}={each[path]}" for path in telling) or one.configuration.name
        for one, each in zip(shown, changes, strict=True)
    ]


def _draw(axes: Axes, each: Searched, metric: str, number: int, label: str) -> None:
    color, mark = _COLORS[number % len(_COLORS)], _MARKS[number % len(_MARKS)]
    rates = [_sent_per_s(each, point.factor) for point in each.points]
    for statistic, style in (("p99", "-"), ("p50", (0, (2, 2)))):
        values = [point.metrics.get(f"{metric}.{statistic}", float("nan")) for point in each.points]
        look = {"marker": mark, "ms": 4.0} if statistic == "p99" else {}
        axes.plot(
            rates,
            values,
            color=color,
            ls=style,
            lw=1.6,
            label=label if statistic == "p99" else "_",
            **look,  # type: ignore[arg-type]
        )
    axes.axvline(_sent_per_s(each, each.factor), color=color, lw=0.8, alpha=0.7)


def _sent_per_s(each: Searched, factor: float) -> float:
    """What is sent per second at a factor, in proportion to what is at the highest load that is kept."""
    assert each.best is not None
    sent = f"{work_of(each.configuration.spec)}_sent_per_s"
    return each.best.metrics[sent] * factor / each.factor
