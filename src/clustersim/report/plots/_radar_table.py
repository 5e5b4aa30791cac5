"""The numbers under a radar: shares, use of the devices, needs per unit of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, STORAGE
from clustersim.report.numbers import percent, quantity
from clustersim.report.plots._radar_marks import Look
from clustersim.report.radar import factor, share_words
from clustersim.report.style import INK
from clustersim.results.attribution import NETWORK_BANDWIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.study.radar import Profile
    from clustersim.study.radar.needs import Need

__all__ = ["draw_table"]

_COLUMNS: tuple[tuple[float, str], ...] = (
    (0.225, "compute"),
    (0.275, "HBM"),
    (0.335, "network"),
    (0.390, "latency"),
    (0.432, "host"),
    (0.510, "FLOP/s"),
    (0.555, "HBM"),
    (0.595, "link"),
    (0.656, "filled"),
    (0.715, "per FLOP"),
    (0.795, "FLOP"),
    (0.862, "HBM"),
    (0.930, "network"),
    (1.0, "messages"),
)
"""Where each column ends, in parts of the width, and its title."""
_GROUPS = (
    (0.175, 0.432, "share of time = elasticity"),
    (0.468, 0.595, "use of peak"),
    (0.622, 0.715, "memory"),
    (0.748, 1.0, "per unit of work (token, sample)"),
)
_SIZE = 8.4


def draw_table(axes: Axes, profiles: Sequence[Profile], look: Mapping[str, Look]) -> None:
    """Write one line for each workload under titles, with the polygon's line and mark before it."""
    rows = len(profiles) + 2.4
    axes.set(xlim=(0.0, 1.0), ylim=(-rows, 0.3))
    axes.axis("off")
    for start, end, words in _GROUPS:
        axes.text(
            (start + end) / 2.0, -0.25, words, ha="center", va="center", fontsize=_SIZE, color="#555555"
        )
        axes.plot((start, end), (-0.72, -0.72), color="#BBBBBB", lw=0.7)
    for end, words in _COLUMNS:
        axes.text(end, -1.15, words, ha="right", va="center", fontsize=_SIZE, color="#555555")
    axes.plot((0.0, 1.0), (-1.65, -1.65), color="#999999", lw=0.8)
    for number, profile in enumerate(profiles):
        _row(axes, -2.2 - number, profile, look[profile.label])


def _row(axes: Axes, y: float, profile: Profile, look: Look) -> None:
    style = {"color": look.color, "ls": look.line, "lw": 1.8, "marker": look.mark, "ms": 5.0}
    axes.plot((0.0, 0.018, 0.036), (y, y, y), markevery=[1], **style)
    axes.text(0.045, y, profile.label, ha="left", va="center", fontsize=_SIZE + 0.4, color=INK)
    for (end, _), cell in zip(_COLUMNS, _cells(profile), strict=True):
        axes.text(end, y, cell, ha="right", va="center", fontsize=_SIZE, color=INK)


def _cells(profile: Profile) -> Iterator[str]:
    for name in (COMPUTE, MEMORY_BANDWIDTH, NETWORK_BANDWIDTH, NETWORK_LATENCY):
        yield share_words(profile.elasticities[name])
    yield share_words(profile.elasticities[HOST] + profile.elasticities.get(STORAGE, 0.0))
    need = profile.need
    for used in _used(need):
        yield "-" if used is None else percent(used)
    yield factor(need.memory_per_flop)
    yield quantity(need.flops, "")
    yield quantity(need.hbm_bytes, "B")
    yield quantity(need.network_bytes, "B")
    yield quantity(need.messages, "")


def _used(need: Need) -> tuple[float | None, ...]:
    return need.compute_utilization, need.memory_utilization, need.network_utilization, need.memory_fill
