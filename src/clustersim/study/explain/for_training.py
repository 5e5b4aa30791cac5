"""Techniques of LLM and vision training."""

from __future__ import annotations

from clustersim.catalog.accelerators import Accelerator
from clustersim.errors import ClusterSimError
from clustersim.spec.training import TrainingSpec
from clustersim.study.explain.smaller_model import next_smaller
from clustersim.study.explain.technique import Change, NotHere, Technique

__all__ = ["TECHNIQUES", "has_precision"]

_WHOLE = ("fp32", "tf32")


def has_precision(accelerator: Accelerator, precision: str) -> bool:
    """Return whether a device multiplies in a precision."""
    try:
        accelerator.peak(precision)
    except ClusterSimError:
        return False
    return True


def _mixed_precision(spec: TrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.precision in _WHOLE:
        half = "bf16" if has_precision(accelerator, "bf16") else "fp16"
        return Change({"precision": half}, f"{half} in place of {spec.precision}")
    whole = "tf32" if has_precision(accelerator, "tf32") else "fp32"
    changed: dict[str, object] = {"precision": whole, "gradients": None}
    return Change(changed, f"{spec.precision} in place of {whole}", turns_on=False)


def _fp8(spec: TrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if not has_precision(accelerator, "fp8"):
        return NotHere(f"{accelerator.name} has no fp8 products")
    if spec.precision == "fp8":
        return Change({"precision": "bf16"}, "fp8 in place of bf16", turns_on=False)
    return Change({"precision": "fp8"}, f"fp8 in place of {spec.precision}")


def _batching(spec: TrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    micro = 2 * spec.micro_batch
    if spec.global_batch is None:
        return Change({"micro_batch": micro}, f"micro-batch {micro} in place of {spec.micro_batch}")
    replicas = spec.gpus // (spec.parallelism.tensor * spec.parallelism.pipeline * spec.parallelism.context)
    if spec.global_batch % (micro * replicas):
        return NotHere(
            f"the global batch of {spec.global_batch} does not divide into micro-batches of {micro}"
        )
    return Change({"micro_batch": micro}, f"micro-batch {micro} in place of {spec.micro_batch}")


def _compression(spec: TrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.compression is not None:
        return Change({"compression": None}, f"gradients by {spec.compression.method}", turns_on=False)
    if spec.parallelism.zero:
        return NotHere(
            "ZeRO sends each gradient to its owner alone; compression is for gradients that all keep"
        )
    return Change({"compression": {"method": "int8"}}, "gradients in 8 bits")


def _overlap(spec: TrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.overlap.enabled:
        return Change(
            {"overlap.enabled": False}, "gradients reduced beside the backward pass", turns_on=False
        )
    return Change({"overlap.enabled": True}, "gradients reduced beside the backward pass")


def _recomputation(spec: TrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.recompute == "none":
        return Change({"recompute": "full"}, "activations computed again")
    changed = {"recompute": "none", "recompute_layers": None}
    return Change(changed, f"recomputation: {spec.recompute}", turns_on=False)


def _distillation(spec: TrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    if spec.distillation is not None:
        teacher = spec.distillation.teacher
        return Change({"distillation": None}, f"on the logits of {teacher}", turns_on=False)
    student = next_smaller(spec.model)
    if student is None:
        return NotHere(f"the catalogue has no smaller model of the family of {spec.model}")
    changed = {"model": student, "distillation": {"teacher": spec.model}}
    return Change(changed, f"{student}, taught by {spec.model}")


def _pruning(spec: TrainingSpec, accelerator: Accelerator) -> Change | NotHere:
    return NotHere("structured sparsity speeds up inference; training with it is not modelled")


TECHNIQUES = (
    Technique("mixed precision", _mixed_precision, same_answers=False),
    Technique("8-bit floating point", _fp8, same_answers=False),
    Technique("batching", _batching, same_answers=True),
    Technique("recomputation", _recomputation, same_answers=True),
    Technique("gradient overlap", _overlap, same_answers=True),
    Technique("gradient compression", _compression, same_answers=False),
    Technique("distillation", _distillation, same_answers=False),
    Technique("pruning", _pruning, same_answers=False),
)
"""In the order of the table; larger micro-batches keep the global batch, where one is given."""
