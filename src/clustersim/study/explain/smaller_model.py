"""The model that a larger one would be distilled into: the next smaller of its family."""

from __future__ import annotations

import re
from pathlib import Path

from clustersim import catalog
from clustersim.catalog.models import TransformerModel
from clustersim.errors import ClusterSimError

__all__ = ["next_smaller"]

_HALF = 0.6
"""A student has at most this share of its teacher's parameters."""


def next_smaller(name: str, *, base: Path | None = None) -> str | None:
    """Return the largest model of the same family and vocabulary with clearly fewer parameters.

    A family is what a name begins with, up to its first digit: `llama-`, `gpt`, `qwen`.
    """
    try:
        teacher = catalog.model(name, base=base)
    except ClusterSimError:
        return None
    if not isinstance(teacher, TransformerModel):
        return None
    family = re.match(r"\D*", teacher.name)
    assert family is not None
    students = [
        model
        for other in catalog.names("models")
        if other.startswith(family.group())
        and isinstance(model := catalog.model(other), TransformerModel)
        and model.vocab == teacher.vocab
        and model.max_sequence >= teacher.max_sequence
        and model.parameters <= _HALF * teacher.parameters
    ]
    best = max(students, key=lambda model: model.parameters, default=None)
    return None if best is None else best.name
