"""Other layouts of a replica in which a model fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

from clustersim.cost.serving.layout import ServingLayout
from clustersim.cost.serving.serving_cost import ServingCost

__all__ = ["layouts_that_fit"]

_SIZES = (1, 2, 4, 8, 16, 32)
_SHOWN = 2


def layouts_that_fit(cost: ServingCost, fits: Callable[[ServingCost], bool]) -> list[ServingLayout]:
    """Return the nearest layouts in which the model fits: those on the fewest GPUs, at most two.

    Tensor, pipeline and data parallelism of up to 32 are tried, each no less than now; experts stay
    divided over the same part of a stage's GPUs.

    Parameters
    ----------
    fits
        Whether a model fits in a layout.
    """
    now = cost.layout
    candidates = {
        _spread(now, tensor, pipeline, data)
        for tensor, pipeline, data in product(_SIZES, _SIZES, _SIZES if now.data > 1 else (1,))
        if tensor >= now.tensor and pipeline >= now.pipeline and data >= now.data
    }
    found: list[ServingLayout] = []
    for layout in sorted(candidates, key=lambda layout: (layout.gpus, layout.pipeline, layout.data)):
        if not layout.problems(cost.model) and fits(cost.in_layout(layout)):
            found.append(layout)
            if len(found) == _SHOWN:
                break
    return found


def _spread(now: ServingLayout, tensor: int, pipeline: int, data: int) -> ServingLayout:
    expert = now.expert * tensor * data // now.ranks if now.expert > 1 else 1
    return replace(now, tensor=tensor, pipeline=pipeline, data=data, expert=max(1, expert))
