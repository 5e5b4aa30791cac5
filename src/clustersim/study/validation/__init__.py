"""Validation against published measurements, by name."""

from __future__ import annotations

from clustersim.study.validation.framework import Row, Validation, ValidationReport

__all__ = ["Row", "Validation", "ValidationReport", "registry"]


def registry() -> dict[str, Validation]:
    """Return every validation that `clustersim validate` knows."""
    from clustersim.study.validation.collectives.validation import COLLECTIVES
    from clustersim.study.validation.data_parallel import DATA_PARALLEL
    from clustersim.study.validation.inference.validation import INFERENCE
    from clustersim.study.validation.kernels.validation import KERNELS
    from clustersim.study.validation.ranking.validation import RANKING
    from clustersim.study.validation.training.validation import TRAINING

    known = (COLLECTIVES, DATA_PARALLEL, INFERENCE, KERNELS, RANKING, TRAINING)
    return {validation.name: validation for validation in known}
