"""Pictures of a radar: the five axes, training beside inference, and what-if curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

from clustersim.report.plots._radar_marks import Look, looks
from clustersim.report.plots._radar_table import draw_table
from clustersim.report.plots._radar_web import draw_polygon, draw_web
from clustersim.report.radar_words import PURPOSES, briefly, hardware, plan, shared_hardware
from clustersim.report.style import INK, Picture, house_style

if TYPE_CHECKING:
    from clustersim.study.radar import Profile, Radar

__all__ = ["RadarPlots", "radar_picture"]

_PANEL_INCHES = 4.7
_WIDTH_INCHES = 10.4
_ROW_INCHES = 0.24
_CAPTION_INCHES = 0.155
_LETTERS_OF_CAPTION = 172
_HEAD_INCHES = 0.75
_HOW_TO_READ = (
    "Distance from the centre: the share of the time that belongs to the resource, at its square root so "
    "that small shares show; it is the elasticity of the pace to the resource's speed. Memory capacity: "
    "m / (1 + m), where m is the memory held per FLOP/s in units of what the device has; on the ring of 50 % "
    "both are even."
)


@dataclass(frozen=True)
class RadarPlots:
    """Pictures of one radar; each method returns a matplotlib figure."""

    study: Radar

    def radar(self, *, title: str = "What each workload needs") -> Picture:
        """Draw one polygon per workload on five axes, training beside inference, with a table."""
        return radar_picture(self.study, title=title)

    def what_if(self) -> Picture:
        """Draw what half, twice and four times a resource brings: one panel for each resource."""
        from clustersim.report.plots.radar_what_if import what_if

        return what_if(self.study)

    def all(self) -> Iterator[tuple[str, Picture]]:
        """Yield file name and picture of all that there is data for."""
        yield "radar", self.radar()
        if any(profile.curves for profile in self.study.profiles):
            yield "what-if", self.what_if()


@house_style
def radar_picture(study: Radar, *, title: str) -> Picture:
    """Draw the polygons of a radar, the numbers behind them, and what they are bound to."""
    look = looks(study.profiles)
    panels = [(name, found) for name in PURPOSES if (found := _of(study, name))]
    caption = _caption(study)
    heights = (
        _HEAD_INCHES,
        _PANEL_INCHES,
        _ROW_INCHES * (len(study.profiles) + 3.2),
        _CAPTION_INCHES * (caption.count("\n") + 1) + 0.2,
    )
    height = sum(heights)
    picture = Picture(figsize=(_WIDTH_INCHES, height))
    picture.text(0.02, 1.0 - 0.16 / height, title, va="top", fontsize=14, fontweight="bold", color=INK)
    shared = shared_hardware(study.profiles)
    picture.text(0.02, 1.0 - 0.46 / height, shared, va="top", fontsize=9.5, color="#555555")
    web_bottom = (heights[2] + heights[3]) / height
    for number, (purpose, profiles) in enumerate(panels):
        box = (number / len(panels), web_bottom, 1.0 / len(panels), _PANEL_INCHES / height)
        _panel(picture, box, PURPOSES[purpose], profiles, look)
    table = picture.add_axes((0.02, heights[3] / height, 0.96, heights[2] / height))
    draw_table(table, study.profiles, look)
    picture.text(0.02, 0.1 / height, caption, va="bottom", fontsize=7.4, color="#555555", linespacing=1.35)
    return picture


def _of(study: Radar, purpose: str) -> list[Profile]:
    return [profile for profile in study.profiles if profile.subject.purpose == purpose]


def _panel(
    picture: Picture,
    box: tuple[float, float, float, float],
    title: str,
    profiles: Sequence[Profile],
    look: dict[str, Look],
) -> None:
    """Draw the polygons of one purpose, each with its line, mark and colour."""
    axes = picture.add_axes(box)
    draw_web(axes)
    for profile in profiles:
        draw_polygon(axes, profile, look[profile.label])
    axes.set_title(title, loc="center", fontsize=12, pad=0, color=INK)
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=min(3, len(profiles)),
        fontsize=9.5,
        handlelength=3.2,
        columnspacing=1.6,
        labelcolor=INK,
    )


def _caption(study: Radar) -> str:
    """Return hardware, scale and plan of each workload, and how to read the picture."""
    shared = shared_hardware(study.profiles)
    lines = [
        f"{profile.label}: {plan(profile)}" + ("" if shared else f"; on {hardware(profile)}")
        for profile in study.profiles
    ]
    lines += [f"Left out: {label}: {briefly(reason)}" for label, reason in study.failed.items()]
    lines.append(_HOW_TO_READ)
    return "\n".join(fill(text, _LETTERS_OF_CAPTION, subsequent_indent="   ") for text in lines if text)
