"""From a row of ranking-model training to the job that is simulated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clustersim import catalog
from clustersim.catalog.ranking_frameworks import SHELF, RankingFramework, ranking_framework
from clustersim.errors import InputError, did_you_mean
from clustersim.study.validation.ranking.training_model import model_of, optimizers_of

if TYPE_CHECKING:
    from clustersim.catalog.accelerators import Accelerator
    from clustersim.catalog.hardware import Hardware
    from clustersim.spec.ranking.training import RankingTrainingSpec
    from clustersim.study.validation.ranking.training_row import RankingTrainingRow

__all__ = ["framework_of", "job_of", "precision_of"]

_NAME = "job"
_STEPS = 4
"""Enough for the pipeline of batches to be full; equal steps are counted, not simulated."""
_OF_EXCHANGE = re.compile(
    r"[+,;]?[^+,;]*\b(?:comm\w*|compress\w*|exchange\w*|all-?to-?all)\b[^+,;]*", re.IGNORECASE
)
_PRECISIONS = (
    ("fp16", r"\bfp-?16|float16|\bhalf|mixed|\bamp\b|\byes\b|\btrue\b|\bon\b"),
    ("bf16", r"bf-?16|bfloat"),
    ("tf32", r"tf-?32|tensorfloat"),
    ("fp32", r"fp-?32|float32|single|full|\bno\b|\bfalse\b|\boff\b"),
)
_COARSER: Mapping[str, tuple[str, ...]] = {
    "tf32": ("tf32", "fp32"),
    "bf16": ("bf16", "fp16"),
    "fp16": ("fp16", "bf16"),
    "fp32": ("fp32",),
}
"""What a device computes in where it lacks a format."""


def framework_of(row: RankingTrainingRow) -> RankingFramework:
    """Return the framework of the catalogue that a row names; the first that its words fit.

    Raises
    ------
    InputError
        For one that is not known.
    """
    text = " ".join((row.framework, row.table, row.model, row.notes))
    for name in SHELF.names():
        framework = ranking_framework(name)
        if re.search(framework.words, text, re.IGNORECASE):
            return framework
    raise InputError(f"framework '{row.framework}' is not known.{did_you_mean(row.framework, SHELF.names())}")


def precision_of(words: str, *, accelerator: Accelerator, default: str) -> str:
    """Return the precision of the dense part's products on a device.

    Words on what is exchanged are left out; `mixed` is fp16 unless bf16 alone is said; tf32 is fp32 on
    devices before it.

    Raises
    ------
    InputError
        For one that is not known.
    """
    text = _OF_EXCHANGE.sub("", words).strip()
    found = next((name for name, pattern in _PRECISIONS if re.search(pattern, text, re.IGNORECASE)), None)
    if text and found is None:
        known = [name for name, _ in _PRECISIONS]
        raise InputError(f"precision '{words}' is not known; known: {', '.join(known)}")
    wanted = found or default
    usable = next((name for name in _COARSER[wanted] if name in accelerator.peak_flops), None)
    if usable is None:
        raise InputError(f"{accelerator.name} has no products in {wanted}")
    return usable


def job_of(row: RankingTrainingRow, hardware: Hardware, framework: RankingFramework) -> RankingTrainingSpec:
    """Return the job that a row describes.

    Raises
    ------
    InputError
        For what is not known, or does not fit together.
    """
    from clustersim.spec.problems import validate
    from clustersim.spec.ranking.training import RankingTrainingSpec

    model = model_of(row.model)
    optimizers = optimizers_of(row.optimizer, model)
    accelerator = catalog.accelerator(hardware.node.accelerator)
    fields: dict[str, Any] = {
        "kind": "ranking-training",
        "name": _NAME,
        "model": model.name,
        "gpus": row.gpus,
        "global_batch": row.global_batch,
        "precision": precision_of(row.precision, accelerator=accelerator, default=framework.precision),
        "optimizer": optimizers.dense,
        "embedding_optimizer": optimizers.embedding,
        "framework": framework.name,
        "steps": _STEPS,
    }
    job: RankingTrainingSpec = validate(RankingTrainingSpec, fields)
    return job
