"""Layouts of a plan: time against memory, with the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersim.report.style import BLUE, FAINT, INK, RED, Picture, house_style, legend_below, new_picture

if TYPE_CHECKING:
    from clustersim.study.plan import Plan

__all__ = ["trade_off"]


@house_style
def trade_off(plan: Plan) -> Picture:
    """Draw each layout's time over its memory; bounds of those that were ruled out; the Pareto front.

    The front is over time, memory and network bytes: of two of its layouts with equal memory, the slower one
    sends less.
    """
    picture, axes = new_picture(8.4, 5.0)
    pruned, simulated, front = plan.found.pruned, plan.found.simulated, plan.pareto
    limit_s = 4.0 * plan.best.iteration_s  # slower ones would leave no room for the others
    axes.scatter(
        [each.assessed.memory_bytes / 2**30 for each in pruned],
        [min(each.assessed.bound_s, limit_s) for each in pruned],
        s=12,
        marker="v",
        color=FAINT,
        alpha=0.5,
        label=f"ruled out: bound ({len(pruned)})",
    )
    axes.scatter(
        [each.assessed.memory_bytes / 2**30 for each in simulated],
        [min(each.iteration_s, limit_s) for each in simulated],
        s=18,
        color=BLUE,
        alpha=0.7,
        label=f"simulated ({len(simulated)})",
    )
    axes.scatter(
        [each.assessed.memory_bytes / 2**30 for each in front],
        [each.iteration_s for each in front],
        s=46,
        facecolors="none",
        edgecolors=RED,
        linewidths=1.4,
        label=f"Pareto front in time, memory and network ({len(front)})",
    )
    axes.axvline(plan.memory_bytes / 2**30, color=FAINT, lw=0.8, ls=(0, (4, 3)))
    best = plan.best
    axes.annotate(
        best.words,
        (best.assessed.memory_bytes / 2**30, best.iteration_s),
        xytext=(0, -14),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color=INK,
    )
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.set(
        xlabel="memory of the fullest GPU (GiB); the line is what it has",
        ylabel="time of a step (s), cut at 4 × the best",
    )
    axes.set_title(f"{best.spec.model} on {best.spec.gpus} GPUs: layouts")
    legend_below(axes)
    return picture
