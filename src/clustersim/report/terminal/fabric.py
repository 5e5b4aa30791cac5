"""The network part of the summary: the busiest links, who shared them, whom they held back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clustersim.report.numbers import bandwidth, duration, percent
from clustersim.report.tables import Column, add_row, grid, inset
from clustersim.report.words import sharers

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.results import FabricReport, LinkUse
    from clustersim.results.link_sharing import HeldBack

__all__ = ["fabric_lines"]

_LINK_COLUMNS: tuple[Column, ...] = (
    ("link", "left"),
    ("alike", "right"),
    ("tier", "left"),
    ("usable", "right"),
    ("mean", "right"),
    ("max", "right"),
    ("full", "right"),
    ("carried by", "left"),
)
_ONLY_WIDE = ("tier", "alike")
_WAIT_COLUMNS: tuple[Column, ...] = (
    ("held back at", "left"),
    ("whom", "left"),
    ("for", "right"),
    ("", "right"),
    ("because", "left"),
)
_MOST_WAITS = 5
_MOST_FULL = 2
_WORTH_SAYING = 0.01
"""Of the run: shorter waits are not listed."""


def fabric_lines(fabric: FabricReport, *, wide: bool) -> list[RenderableType]:
    """Return the lines of the summary about the network; narrow ones leave out columns."""
    from rich.text import Text

    head = Text.assemble(
        ("fabric", "bold cyan"), f"  {len(fabric.names):,} of {fabric.links:,} links carried data"
    )
    if not fabric.names:
        return [head]
    waits = [each for each in fabric.sharing.held_back() if each.seconds >= _WORTH_SAYING * fabric.duration_s]
    parts: list[RenderableType] = [head, inset(_links(fabric, wide=wide))]
    if waits:
        parts += ["", inset(_waits(fabric, waits[:_MOST_WAITS]))]
    if len(waits) > _MOST_WAITS:
        parts.append(inset(Text(f"and {len(waits) - _MOST_WAITS} more: result.sharing()", style="dim")))
    return parts


def _links(fabric: FabricReport, *, wide: bool) -> RenderableType:
    notable = fabric.alike(fullest=_MOST_FULL)
    rows = [_link_cells(use, alike, fabric.duration_s) for use, alike in notable]
    shown = [
        n
        for n, (title, _) in enumerate(_LINK_COLUMNS)
        if (wide or title not in _ONLY_WIDE) and any(cells[n] for cells in rows)
    ]
    table = grid(*(_LINK_COLUMNS[n] for n in shown), unbroken=1)
    for cells in rows:
        add_row(table, *(cells[n] for n in shown))
    return table


def _link_cells(use: LinkUse, alike: int, duration_s: float) -> Sequence[str]:
    return (
        use.name,
        f"+{alike:,}" if alike else "",
        use.tier,
        bandwidth(use.capacity_bytes_per_s),
        percent(use.mean_utilization),
        percent(use.max_utilization),
        percent(use.saturated_s / duration_s if duration_s else 0.0),
        sharers(use.shared_by),
    )


def _waits(fabric: FabricReport, waits: Sequence[HeldBack]) -> RenderableType:
    table = grid(*_WAIT_COLUMNS, unbroken=1)
    for each in waits:
        add_row(
            table,
            fabric.names[each.link],
            f"{each.owner} ({each.traffic})",
            duration(each.seconds),
            percent(each.seconds / fabric.duration_s),
            "its own protocol's rate" if each.by_protocol else _when_full(fabric, each.link),
        )
    return table


def _when_full(fabric: FabricReport, link: int) -> str:
    first_s, last_s = float(fabric.first_saturated_s[link]), float(fabric.last_saturated_s[link])
    if first_s != first_s:
        return "the link was full"
    return f"full, {duration(first_s)} – {duration(last_s)}"
