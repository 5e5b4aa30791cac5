"""A radar as text: elasticities beside what reruns found, use of the devices, needs per unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, percent, quantity
from clustersim.report.radar_words import RESOURCES_SHORT, briefly, hardware, plan, shared_hardware
from clustersim.report.tables import WIDTH, add_row, grid, inset, line, to_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.study.radar import Profile, Radar

__all__ = ["factor", "renderable", "share_words", "summary"]

_AGREES = 0.02
"""A share and its rerun that differ by no more than this are taken as one number."""
_FACTORS = {0.5: "pace with half of it", 2.0: "pace with twice of it", 4.0: "pace with four times of it"}
Row = tuple[str, tuple[str, ...]]
"""Title and a cell for each workload; without cells it is the title of the rows that follow."""


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
    parts += ["", inset(_table(radar))]
    return Group(*parts, "", *(line(text) for text in _findings(radar)))


def share_words(share: float) -> str:
    """Write a share of time: `70 %`, `3.4 %`; `0` for none."""
    return percent(share) if share >= 0.0005 else "0"


def factor(value: float | None) -> str:
    """Write a ratio: `1.3x`; `-` where it is not known."""
    return "-" if value is None else f"{value:.3g}x" if value < 1000 else f"{count(value)}x"


def _table(radar: Radar) -> RenderableType:
    """Return a column for each workload; names of workloads are broken at their blanks."""
    table = grid(("", "left"), *((profile.label.replace(" ", "\n"), "right") for profile in radar.profiles))
    for title, cells in _rows(radar):
        if cells:
            add_row(table, f"  {title}", *cells)
        else:
            add_row(table, title, style="bold")
    return table


def _rows(radar: Radar) -> Iterator[Row]:
    for part in (_shares, _capacity, _use, _memory, _needs, _what_if):
        yield from part(radar)


def _row(radar: Radar, title: str, cell: Callable[[Profile], str]) -> Row:
    return title, tuple(cell(profile) for profile in radar.profiles)


def _shares(radar: Radar) -> Iterator[Row]:
    yield "share of time: elasticity of pace", ()
    for name in dict.fromkeys(name for profile in radar.profiles for name in profile.elasticities):
        shares = (profile.elasticities.get(name, 0.0) for profile in radar.profiles)
        yield RESOURCES_SHORT[name], tuple(share_words(share) for share in shares)
    if any(profile.measured for profile in radar.profiles):
        yield _row(radar, "reruns differ by", _difference)
        yield _row(radar, "sum of reruns", lambda each: "-" if each.gain is None else f"{each.gain:.3f}")


def _capacity(radar: Radar) -> Iterator[Row]:
    found = [profile.capacity for profile in radar.profiles]
    names = dict.fromkeys(name for each in found if each is not None for name in each.elasticities)
    if not names:
        return
    yield "highest load within the objectives: elasticity", ()
    for name in names:
        yield (
            RESOURCES_SHORT[name],
            tuple("-" if each is None else f"{each.elasticities[name]:.2f}" for each in found),
        )
    yield "looser objectives", tuple("-" if each is None else f"{each.slo:.2f}" for each in found)
    yield "load, of the scenario's", tuple("-" if each is None else f"{each.factor:.3g}x" for each in found)


def _difference(profile: Profile) -> str:
    difference = profile.largest_difference
    return "-" if difference is None else f"{difference:.3f}"


def _use(radar: Radar) -> Iterator[Row]:
    yield "use of the devices", ()
    yield _row(radar, "FLOP/s, of peak", lambda each: _used(each.need.compute_utilization))
    yield _row(radar, "HBM, of peak", lambda each: _used(each.need.memory_utilization))
    yield _row(radar, "busiest link", lambda each: _used(each.need.network_utilization))


def _memory(radar: Radar) -> Iterator[Row]:
    yield "memory capacity", ()
    yield _row(radar, "filled", lambda each: _used(each.need.memory_fill))
    yield _row(radar, "held per FLOP", lambda each: factor(each.need.memory_per_flop))
    yield _row(radar, "pressure", lambda each: factor(None if each.memory is None else each.memory.pressure))
    if any(profile.price for profile in radar.profiles):
        yield _row(radar, "worth: elasticity", _worth)


def _worth(profile: Profile) -> str:
    price = profile.price
    if price is None:
        return "-"
    return "needed" if price.elasticity is None else f"{price.elasticity:.2f}"


def _used(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _needs(radar: Radar) -> Iterator[Row]:
    yield "need per unit of work", ()
    yield _row(radar, "unit", lambda each: each.need.unit)
    yield _row(radar, "units per second", lambda each: quantity(each.need.units_per_s, ""))
    yield _row(radar, "FLOP", lambda each: quantity(each.need.flops, ""))
    yield _row(radar, "HBM", lambda each: quantity(each.need.hbm_bytes, "B"))
    yield _row(radar, "network", lambda each: quantity(each.need.network_bytes, "B"))
    yield _row(radar, "messages", lambda each: quantity(each.need.messages, ""))


def _what_if(radar: Radar) -> Iterator[Row]:
    names = dict.fromkeys(name for profile in radar.profiles for name in profile.curves)
    for multiple, words in _FACTORS.items() if names else ():
        yield words, ()
        for name in names:
            gains = (_gain(profile, name, multiple) for profile in radar.profiles)
            yield RESOURCES_SHORT[name], tuple(gains)


def _gain(profile: Profile, resource: str, multiple: float) -> str:
    curve = profile.curves.get(resource)
    gain = None if curve is None else curve.gains.get(multiple)
    return "-" if gain is None else f"{gain:.2f}x"


def _findings(radar: Radar) -> Iterator[str]:
    for profile in radar.profiles:
        leader = max(profile.elasticities, key=lambda name: profile.elasticities[name])
        yield f"{profile.label}: {RESOURCES_SHORT[leader]} first{_brings(profile, leader)}"
        yield from _checked(profile)
        for what, reason in profile.reasons.items():
            yield f"{profile.label} cannot run with {what.replace('_', ' ')}: {briefly(reason)}"
    for label, reason in radar.failed.items():
        yield f"{label} is left out: {briefly(reason)}"


def _brings(profile: Profile, resource: str) -> str:
    """Say what 10 % more of a resource brings: as measured, else by its share where that says it.

    Where requests come at their own pace, a faster service has shorter queues besides, and a share alone
    does not say how much.
    """
    found = profile.measured.get(resource)
    if found is None and profile.subject.open_loop:
        return f": {percent(profile.elasticities[resource])} of the time"
    elasticity = profile.elasticities[resource] if found is None else found.elasticity
    more = percent(1.1**elasticity - 1.0)
    return f": 10 % more of it gives about {more} more {profile.subject.objective_words}"


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
