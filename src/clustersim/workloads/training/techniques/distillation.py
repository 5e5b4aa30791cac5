"""Knowledge distillation on the student's own GPUs: the teacher's forward pass before the student's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.layer_tables import LayerTableModel
from clustersim.catalog.models import TransformerModel
from clustersim.cost.operators import element_bytes, elementwise
from clustersim.cost.roofline import KernelTime, SustainedRoofline
from clustersim.cost.training.training_cost import LayerCost, training_cost
from clustersim.errors import InputError, Problem
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.divisibility import check_model
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.stages import assign

__all__ = ["check_pair", "logits_per_rank", "with_teacher"]

_FORWARD_BYTES = 16.0
"""Per logit, fp32: those of student and teacher are read twice, for the softmax of each and for their
difference. **Source:** kernel by kernel as PyTorch's `kl_div` of two `log_softmax`; assumed not fused."""

_BACKWARD_BYTES = 10.0
"""Per logit: both are read and the 16-bit gradient is written."""

Chunks = Sequence[Sequence[LayerCost]]


Pair = tuple[TransformerModel, TransformerModel]
"""Student and teacher."""


def check_pair(
    student: TransformerModel | LayerTableModel, teacher: TransformerModel | LayerTableModel
) -> Pair:
    """Return both models; refuse a teacher whose logits mean something else than the student's.

    Raises
    ------
    InputError
        For models without tokens, and for vocabularies of different size.
    """
    path = ("distillation", "teacher")
    if isinstance(student, LayerTableModel) or isinstance(teacher, LayerTableModel):
        raise InputError(
            Problem(path, "distillation is modelled for transformers, whose logits are compared")
        )
    if student.vocab != teacher.vocab:
        message = f"{teacher.name} has {teacher.vocab} words, {student.name} has {student.vocab}"
        raise InputError(Problem(path, f"{message}: their logits cannot be compared"))
    return student, teacher


def logits_per_rank(spec: TrainingSpec, model: TransformerModel, layout: Layout) -> float:
    """Return the logits of a micro-batch on one rank of the last stage."""
    sequence = model.max_sequence if spec.sequence is None else spec.sequence
    return spec.micro_batch * sequence * model.vocab / (layout.context * layout.tensor)


def with_teacher(
    spec: TrainingSpec,
    chunks: Chunks,
    *,
    pair: Pair,
    accelerator: Accelerator,
    layout: Layout,
) -> tuple[tuple[LayerCost, ...], ...]:
    """Return the chunks of a student that has its teacher's layers, frozen, before its own.

    *Equation.* A forward pass takes both models' forward passes, and both hidden states go to the next stage;
    the backward pass is the student's. The loss reads 16 bytes per logit forward and 10 backward, and keeps
    the teacher's logits. The teacher has its weights in memory and nothing else.

    Raises
    ------
    InputError
        Where the layout does not divide the teacher.

    With a teacher on GPUs of its own there is the loss alone.

    **Valid when** teacher and student are laid out alike, and MFU counts the student's FLOPs alone.
    **Source:** Hinton et al., 2015 (arXiv:1503.02531); NVIDIA ModelOpt's distillation in Megatron-LM, whose
    stages send the hidden states of both models.
    **Checked by:** tests/workloads/test_training_distillation.py.
    """
    student, teacher = pair
    logits = logits_per_rank(spec, student, layout)
    if spec.distillation is not None and spec.distillation.gpus is not None:
        compared = _compared(chunks[-1][-1], logits, accelerator, spec.precision)
        return (*map(tuple, chunks[:-1]), (*chunks[-1][:-1], compared))
    check_model(layout, teacher, sequence=spec.sequence)
    cost = training_cost(
        teacher,
        accelerator,
        precision=spec.precision,
        micro_batch=spec.micro_batch,
        sequence=spec.sequence,
        attention=spec.attention,
        shard=layout.shard,
    )
    taught = assign(cost.layers, layout, virtual_stages=spec.parallelism.virtual_stages)
    found = [
        (
            *(_frozen(block, own[0], copies=layout.pipeline > 1) for block in before),
            *own[:-1],
            _sends_both(own, before),
        )
        for own, before in zip(chunks, taught, strict=True)
    ]
    found[-1] = (*found[-1][:-1], _compared(found[-1][-1], logits, accelerator, spec.precision))
    return tuple(found)


def _frozen(block: LayerCost, first: LayerCost, *, copies: bool) -> LayerCost:
    """Return a block of the teacher; `first` of the student's says what goes back to the stage before."""
    copied = block.shared_parameters if copies else 0
    return replace(
        block,
        name=f"teacher-{block.name}",
        layer=None,
        parameters=0,
        expert_parameters=0,
        shared_parameters=0,
        frozen_parameters=block.parameters + block.expert_parameters + copied,
        parameters_of_model=0,
        recompute=KernelTime.ZERO,
        backward_input=KernelTime.ZERO,
        backward_weight=KernelTime.ZERO,
        host=block.host._replace(recompute=0.0, backward_input=0.0, backward_weight=0.0),
        messages_recompute=(),
        messages_backward=(),
        activation_bytes=0.0,
        recomputed_bytes=0.0,
        output_bytes=first.output_bytes,
    )


def _sends_both(own: Sequence[LayerCost], before: Sequence[LayerCost]) -> LayerCost:
    return replace(own[-1], output_bytes=own[-1].output_bytes + before[-1].output_bytes)


def _compared(block: LayerCost, logits: float, accelerator: Accelerator, precision: str) -> LayerCost:
    """Return the output with the distillation loss."""
    forward, backward = (
        SustainedRoofline(accelerator).kernel(
            elementwise("distillation loss", bytes_moved=size * logits, precision="fp32")
        )
        for size in (_FORWARD_BYTES, _BACKWARD_BYTES)
    )
    element = element_bytes("bf16" if precision == "fp8" else precision)
    return replace(
        block,
        forward=block.forward + forward,
        backward_input=block.backward_input + backward,
        activation_bytes=block.activation_bytes + logits * element,
    )
