"""What one training iteration costs on one GPU: kernels per block, optimizer, memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Literal

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.layer_tables import LayerTableModel
from clustersim.catalog.models import TransformerModel
from clustersim.cost.layer_table import table_blocks
from clustersim.cost.operators import Operator, element_bytes, elementwise
from clustersim.cost.optimizers import OPTIMIZERS, Optimizer, OptimizerName
from clustersim.cost.roofline import KernelTime, Roofline
from clustersim.cost.training_block import Block
from clustersim.cost.training_transformer import Attention, transformer_blocks
from clustersim.errors import InputError, Problem

__all__ = ["FRAMEWORK_BYTES", "LayerCost", "MemoryBreakdown", "TrainingCost", "training_cost"]

FRAMEWORK_BYTES = 2.0 * 2**30
"""Driver context, communication buffers and workspaces of a process on a GPU: assumed."""

_HALF = ("fp16", "bf16")


@dataclass(frozen=True, slots=True)
class LayerCost:
    """A block of the network whose gradients become ready together.

    `activation_bytes` is what its forward pass keeps for its backward pass.
    """

    name: str
    parameters: int
    forward: KernelTime
    backward: KernelTime
    activation_bytes: float


@dataclass(frozen=True)
class MemoryBreakdown:
    """Bytes on each GPU, by use.

    *Equation* for mixed precision with Adam: 2 + 2 + 4 + 8 bytes per parameter, as
    Rajbhandari et al., "ZeRO", SC20, section 3.1; fp32 and tf32 have no second copy of the
    weights. Activations of a transformer layer in half precision, without recomputation:
    s·b·h·(34 + 5·a·s/h) (Korthikanti et al., 2022, equation 1), the second term only where
    attention is unfused; of a layer table: the saved outputs.
    **Checked by:** tests/workloads/test_training_cost.py.
    """

    weights: float
    master_weights: float
    gradients: float
    optimizer_states: float
    activations: float
    framework: float = FRAMEWORK_BYTES

    def items(self) -> tuple[tuple[str, float], ...]:
        """Return use and bytes, in words."""
        return tuple((field.name, getattr(self, field.name)) for field in fields(self))

    @property
    def total_bytes(self) -> float:
        """All of it."""
        return sum(size_bytes for _, size_bytes in self.items())


@dataclass(frozen=True)
class TrainingCost:
    """One forward-backward pass over a micro-batch, and one optimizer step, on one GPU.

    Parameters
    ----------
    layers
        In forward order; their parameters add up to the model's.
    optimizer
        Update of all weights.
    gradient_bytes_per_parameter
        As stored and communicated: 2 in mixed precision, else 4.
    flops_per_sample
        Of the model, three times its forward pass; recomputation is not counted.
    sequence
        Tokens per sample; None where samples have no tokens.
    """

    layers: tuple[LayerCost, ...]
    optimizer: KernelTime
    memory: MemoryBreakdown
    gradient_bytes_per_parameter: float
    flops_per_sample: float
    sequence: int | None

    @property
    def parameters(self) -> int:
        """Parameters of the model."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def forward(self) -> KernelTime:
        """The forward pass."""
        return sum((layer.forward for layer in self.layers), KernelTime.ZERO)

    @property
    def backward(self) -> KernelTime:
        """The backward pass, with recomputation."""
        return sum((layer.backward for layer in self.layers), KernelTime.ZERO)


def training_cost(
    model: TransformerModel | LayerTableModel,
    accelerator: Accelerator,
    *,
    precision: str,
    micro_batch: int,
    sequence: int | None = None,
    optimizer: OptimizerName = "adam",
    recompute: Literal["none", "full"] = "none",
    attention: Attention = "fused",
) -> TrainingCost:
    """Turn a model into times and bytes on an accelerator.

    The backward pass has the products for both gradients, so twice the FLOPs of the forward
    pass, and memory-bound kernels of its own. With `recompute="full"` it begins by
    repeating the forward pass of each transformer layer. Mixed precision keeps and
    communicates gradients in 2 bytes (as NVIDIA's BERT scripts with
    `--allreduce_post_accumulation_fp16`), fp32 and tf32 in 4.

    The host issues kernels ahead of the GPU; the GPU idles only in a pass whose kernels are
    shorter, in sum, than their launches.

    Raises
    ------
    InputError
        If a sequence is given to a model without tokens, or one that it has no positions for.
    CatalogError
        If the accelerator has no rate for the precision.

    **Valid when** one GPU holds the whole model, and no compiler fuses further than
    `training_transformer` and `layer_table` say.
    **Source:** Narayanan et al., SC21; Korthikanti et al., 2022; see docs/training.md.
    **Checked by:** tests/workloads/test_training_cost.py, `clustersim validate data-parallel`.
    """
    if isinstance(model, LayerTableModel):
        if sequence is not None:
            raise InputError(Problem(("sequence",), f"{model.name} has no tokens; leave 'sequence' out"))
        blocks = table_blocks(model, samples=micro_batch, precision=precision)
    else:
        sequence = model.max_sequence if sequence is None else sequence
        blocks = transformer_blocks(
            model, samples=micro_batch, sequence=sequence, precision=precision, attention=attention
        )
    roofline, rule = Roofline(accelerator), OPTIMIZERS[optimizer]
    return TrainingCost(
        layers=_layer_costs(blocks, roofline, recompute=recompute == "full"),
        optimizer=roofline.time(_update(rule, model.parameters, precision)),
        memory=_memory(rule, blocks, precision=precision, recompute=recompute == "full"),
        gradient_bytes_per_parameter=float(element_bytes(precision)),
        flops_per_sample=3.0 * sum(block.forward_flops for block in blocks) / micro_batch,
        sequence=sequence,
    )


def _layer_costs(blocks: Sequence[Block], roofline: Roofline, *, recompute: bool) -> tuple[LayerCost, ...]:
    kernel = cache(roofline.kernel)  # layers are alike
    forward = _pass_times([block.forward for block in blocks], kernel, roofline.accelerator.kernel_launch_s)
    backward = _pass_times(
        [_backward(block, recompute) for block in blocks], kernel, roofline.accelerator.kernel_launch_s
    )
    return tuple(
        LayerCost(
            name=block.name,
            parameters=block.parameters,
            forward=forward_time,
            backward=backward_time,
            activation_bytes=_kept_bytes(block, recompute),
        )
        for block, forward_time, backward_time in zip(blocks, forward, backward, strict=True)
    )


def _pass_times(
    blocks: Sequence[Sequence[Operator]], kernel: Callable[[Operator], KernelTime], launch_s: float
) -> list[KernelTime]:
    """Return the time of each block in a pass that the host launches kernel by kernel.

    What launching all kernels takes beyond executing them is spread over the kernels.
    """
    executed = [
        sum((kernel(operator) * operator.count for operator in operators), KernelTime.ZERO)
        for operators in blocks
    ]
    kernels = sum(map(len, blocks))
    gap_s = max(0.0, launch_s - sum(time.seconds for time in executed) / kernels) if kernels else 0.0
    return [
        time + KernelTime(launch_s=gap_s * len(operators))
        for time, operators in zip(executed, blocks, strict=True)
    ]


def _backward(block: Block, recompute: bool) -> Sequence[Operator]:
    return (*block.forward, *block.backward) if recompute and block.layer is not None else block.backward


def _kept_bytes(block: Block, recompute: bool) -> float:
    return block.checkpoint_bytes if recompute and block.layer is not None else block.activation_bytes


def _update(rule: Optimizer, parameters: int, precision: str) -> Operator:
    traffic = rule.traffic_bytes(gradient_bytes=element_bytes(precision), mixed=precision in _HALF)
    return elementwise(
        f"{rule.name} step", kind="optimizer", bytes_moved=parameters * traffic, precision=precision
    )


def _memory(rule: Optimizer, blocks: Sequence[Block], *, precision: str, recompute: bool) -> MemoryBreakdown:
    parameters = sum(block.parameters for block in blocks)
    element = element_bytes(precision)
    return MemoryBreakdown(
        weights=float(parameters * element),
        master_weights=4.0 * parameters if precision in _HALF else 0.0,
        gradients=float(parameters * element),
        optimizer_states=rule.state_bytes * parameters,
        activations=_checkpointed_bytes(blocks)
        if recompute
        else sum(block.activation_bytes for block in blocks),
    )


def _checkpointed_bytes(blocks: Iterable[Block]) -> float:
    """Checkpoints of all layers, all of the largest layer, and whatever is not recomputed."""
    kept_bytes = 0.0
    layers: dict[int, float] = defaultdict(float)
    for block in blocks:
        if block.layer is None:
            kept_bytes += block.activation_bytes
        else:
            kept_bytes += block.checkpoint_bytes
            layers[block.layer] += block.activation_bytes
    return kept_bytes + max(layers.values(), default=0.0)
