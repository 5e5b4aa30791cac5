"""A radar as text: elasticities beside what reruns found, use of the devices, needs per unit of work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from clustersim.engine.trace import STORAGE
from clustersim.report.numbers import count, percent, quantity
from clustersim.report.radar_words import RESOURCES_SHORT, hardware, plan, shared_hardware
from clustersim.report.tables import WIDTH, add_row, grid, inset, line, to_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.study.radar import Profile, Radar

__all__ = ["factor", "renderable", "share_words", "summary"]

_AGREES = 0.02
"""A share and its rerun that differ by no more than this are taken as one number."""
_FACTORS = (0.5, 2.0, 4.0)


def summary(radar: Radar, *, width: int = WIDTH) -> str:
    """Return the radar as plain text, at most `width` columns wide."""
    return to_text(renderable(radar), width=width)


def renderable(radar: Radar) -> RenderableType:
    """Return the radar for a `rich.console.Console`."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text("radar: what each workload needs", style="bold")]
    shared = shared_hardware(radar.profiles)
    parts += [line(shared)] if shared else []
    for profile in radar.profiles:
        parts.append(line(f"{profile.label}: {plan(profile)}"))
        parts += [] if shared else [line(f"  on {hardware(profile)}")]
    parts += ["", line("share of time, which is the elasticity of pace"), inset(_shares(radar))]
    parts += ["", line("use of the devices"), inset(_use(radar))]
    parts += ["", line("need per unit of work"), inset(_needs(radar))]
    if any(profile.curves for profile in radar.profiles):
        parts += ["", line("pace with a resource ×½, ×2, ×4"), inset(_what_if(radar))]
    return Group(*parts, "", *(line(text) for text in _findings(radar)))


def share_words(share: float) -> str:
    """Write a share of time: `70 %`, `3.4 %`; `0` for none."""
    return percent(share) if share else "0"


def factor(value: float | None) -> str:
    """Write a ratio: `1.3x`; `-` where it is not known."""
    return "-" if value is None else f"{value:.3g}x" if value < 1000 else f"{count(value)}x"


def _shares(radar: Radar) -> RenderableType:
    names = [name for name in radar.profiles[0].elasticities if name != STORAGE]
    if any(profile.elasticities.get(STORAGE) for profile in radar.profiles):
        names.append(STORAGE)
    checked = any(profile.measured for profile in radar.profiles)
    extra = (("reruns differ by", "right"),) if checked else ()
    table = grid(("", "left"), *((RESOURCES_SHORT[name], "right") for name in names), *extra)
    for profile in radar.profiles:
        difference = profile.largest_difference
        add_row(
            table,
            profile.label,
            *(share_words(profile.elasticities.get(name, 0.0)) for name in names),
            *(("-" if difference is None else f"{difference:.3f}",) if checked else ()),
        )
    return table


def _use(radar: Radar) -> RenderableType:
    table = grid(
        ("", "left"),
        ("FLOP/s of peak", "right"),
        ("HBM of peak", "right"),
        ("busiest link", "right"),
        ("memory filled", "right"),
        ("memory per FLOP", "right"),
    )
    for profile in radar.profiles:
        need = profile.need
        used = (
            need.compute_utilization,
            need.memory_utilization,
            need.network_utilization,
            need.memory_fill,
        )
        cells = ("-" if value is None else percent(value) for value in used)
        add_row(table, profile.label, *cells, factor(need.memory_per_flop))
    return table


def _needs(radar: Radar) -> RenderableType:
    table = grid(
        ("", "left"),
        ("unit", "left"),
        ("units/s", "right"),
        ("FLOP", "right"),
        ("HBM", "right"),
        ("network", "right"),
        ("messages", "right"),
    )
    for profile in radar.profiles:
        need = profile.need
        add_row(
            table,
            profile.label,
            need.unit,
            quantity(need.units_per_s, ""),
            quantity(need.flops, "FLOP"),
            quantity(need.hbm_bytes, "B"),
            quantity(need.network_bytes, "B"),
            quantity(need.messages, ""),
        )
    return table


def _what_if(radar: Radar) -> RenderableType:
    names = list(next(profile.curves for profile in radar.profiles if profile.curves))
    table = grid(("", "left"), *((RESOURCES_SHORT[name], "right") for name in names))
    for profile in radar.profiles:
        cells = (_gains(profile, name) for name in names)
        add_row(table, profile.label, *cells)
    return table


def _gains(profile: Profile, resource: str) -> str:
    curve = profile.curves.get(resource)
    if curve is None:
        return "-"
    return " ".join(f"{curve.gains[x]:.2f}" if x in curve.gains else "-" for x in _FACTORS)


def _findings(radar: Radar) -> Iterator[str]:
    for profile in radar.profiles:
        leader = max(profile.elasticities, key=lambda name: profile.elasticities[name])
        yield (
            f"{profile.label}: {RESOURCES_SHORT[leader]} first: 10 % more of it gives about "
            f"{percent(1.1 ** profile.elasticities[leader] - 1.0)} more {profile.subject.objective_words}"
        )
        yield from _checked(profile)
        for what, reason in profile.reasons.items():
            yield f"{profile.label}, {what.replace('_', ' ')}: cannot run: {reason}"
    for label, reason in radar.failed.items():
        yield f"{label} is left out: {reason}"


def _checked(profile: Profile) -> Iterator[str]:
    difference = profile.largest_difference
    if difference is not None and difference > _AGREES:
        found = profile.measured_shares
        worst = max(found, key=lambda name: abs(found[name] - profile.elasticities[name]))
        yield (
            f"{profile.label}: reruns give {RESOURCES_SHORT[worst]} {percent(found[worst])} in place of "
            f"{percent(profile.elasticities[worst])}; the rest agrees at least as well"
        )
    switching = [RESOURCES_SHORT[name] for name, each in profile.measured.items() if each.switches]
    if switching:
        yield f"{profile.label}: the bottleneck switches within 5 % of {', '.join(switching)}"
