"""What a pass over a micro-batch costs on one GPU: kernels, messages and bytes of each block."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.layer_tables import LayerTableModel
from clustersim.catalog.models import TransformerModel
from clustersim.cost.launches import LaunchTimes
from clustersim.cost.optimizers import (
    GRADIENT_BYTES,
)
from clustersim.cost.roofline import KernelTime, SustainedRoofline
from clustersim.cost.training.adapters import Adapters
from clustersim.cost.training.flops import Recompute, StepFlops, step_flops
from clustersim.cost.training.layer_cost import LayerCost, layer_costs
from clustersim.cost.training.layer_table import table_blocks
from clustersim.cost.training.passes import Attention, Captured, Module, TransformerPass
from clustersim.cost.training.shard import WHOLE, Shard
from clustersim.cost.training.transformer import transformer_blocks
from clustersim.errors import CannotRunError, InputError, Problem

__all__ = ["LayerCost", "TrainingCost", "training_cost"]


@dataclass(frozen=True)
class TrainingCost:
    """One forward-backward pass over a micro-batch on one GPU.

    Parameters
    ----------
    layers
        All blocks in forward order; their `parameters_of_model` add up to the model's.
    gradient_bytes_per_parameter
        As stored and communicated.
    flops
        Of the model, per sample.
    sequence
        Tokens per sample; None where samples have no tokens.
    trained_parameters
        Of the undivided model, or its adapters.
    """

    layers: tuple[LayerCost, ...]
    gradient_bytes_per_parameter: float
    flops: StepFlops
    sequence: int | None
    trained_parameters: int

    @property
    def flops_per_sample(self) -> float:
        """Model FLOPs, attention over all pairs; recomputation is not counted."""
        return self.flops.model

    @property
    def parameters(self) -> int:
        """Trained parameters of all blocks on this GPU."""
        return sum(layer.parameters + layer.expert_parameters for layer in self.layers)

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
    recompute: Recompute = "none",
    early_stop: bool = False,
    attention: Attention = "fused",
    shard: Shard = WHOLE,
    gradient_bytes: float | None = None,
    adapters: Adapters | None = None,
    launches: LaunchTimes | None = None,
    captured: Collection[Captured] = (),
    modules: Collection[Module] = (),
) -> TrainingCost:
    """Turn a model into times, bytes and messages on an accelerator.

    The backward pass has the products for both gradients, so twice the FLOPs of the forward
    pass, and memory-bound kernels of its own. With `recompute="full"` it begins by repeating the
    forward pass of each transformer layer, with its collectives (`LayerCost.stored` undoes it for a
    layer); with `"selective"` that of unfused attention between queries and keys.

    *Equation:* activations of a GPT layer with unfused attention in half precision, with
    t = `shard.tensor` (Korthikanti et al., arXiv:2205.05198, table 2):

        none, t = 1                    s·b·h·(34 + 5·a·s/h)
        none, tensor parallel          s·b·h·(10 + 24/t + 5·a·s/(h·t))
        none, and sequence parallel    s·b·h/t·(34 + 5·a·s/h)
        selective                      the same without 5·a·s/h
        full                           2·s·b·h; over t with sequence parallelism, which keeps the input
                                       of a layer divided as it lies

    Context parallelism divides s; fused attention keeps 4 bytes per query and head in place of
    5·a·s/h; models without dropout keep no masks.

    Parameters
    ----------
    precision
        Of linear layers; with `fp8` everything else is bf16.
    micro_batch, sequence
        Samples of a replica in a pass, and tokens of each, before they are divided.
    early_stop
        Whether recomputation of a layer ends with the last tensor that its backward pass needs, as
        PyTorch's non-reentrant checkpoints do (`early_stop` of torch.utils.checkpoint), which FSDP
        uses; Megatron-LM repeats all of it.
    shard
        What this GPU has of each block.
    gradient_bytes
        Of one gradient; None takes `clustersim.cost.optimizers.GRADIENT_BYTES`.
    adapters
        Trains these beside frozen weights.
    modules
        What is recomputed besides.
    launches, captured
        What the host takes for each kernel, and which parts of layers it replays as CUDA graphs. None:
        what the accelerator's hosts take.

    Times are the device's; what it waits for the host follows when passes are put together
    (`LayerCost.host`).

    Raises
    ------
    InputError
        If a sequence is given to a model without tokens, or one that it has no positions for.
    CannotRunError
        For a layer table under a `shard` or with adapters, and unfused attention of a context group.
    CatalogError
        If the accelerator has no rate for the precision.

    **Valid when** the shard's numbers divide the model's (largest shares are taken where they do
    not), and no compiler fuses further than `training_transformer` and `layer_table` say.
    **Source:** Narayanan et al., SC21; Korthikanti et al., 2022; see docs/training-cost.md.
    **Checked by:** tests/cost, tests/workloads/test_training_cost.py, `clustersim validate data-parallel`.
    """
    gradient_bytes = GRADIENT_BYTES[precision] if gradient_bytes is None else gradient_bytes
    roofline = SustainedRoofline(accelerator)
    if launches is None:
        launch_s = accelerator.kernel_launch_s
        launches = LaunchTimes(kernel_s=launch_s, product_s=launch_s)
    if isinstance(model, LayerTableModel):
        _check_table(model, sequence=sequence, whole=shard == WHOLE and adapters is None)
        blocks = table_blocks(model, samples=micro_batch, precision=precision)
        one = table_blocks(model, samples=1, precision=precision)
        flops = step_flops(one, recompute="none", causal=False)
        trained = model.parameters
    else:
        run = TransformerPass(
            model=model,
            samples=micro_batch,
            sequence=model.max_sequence if sequence is None else sequence,
            arithmetic=precision,
            attention=attention,
            shard=shard,
            gradient_bytes=gradient_bytes,
            fp8_promotion=accelerator.fp8_promotion or 1.0,
            hopper=accelerator.vendor == "NVIDIA" and accelerator.efficiency == "h100",
            adapters=adapters,
            captured=frozenset(captured),
            modules=frozenset(modules),
        )
        sequence = run.sequence
        blocks = transformer_blocks(run)
        flops = _flops(replace(run, samples=1, shard=WHOLE), recompute)
        trained = _trained(replace(run, samples=1, shard=WHOLE))
    return TrainingCost(
        layers=layer_costs(blocks, roofline, recompute=recompute, early_stop=early_stop, launches=launches),
        gradient_bytes_per_parameter=gradient_bytes,
        flops=flops,
        sequence=sequence,
        trained_parameters=trained,
    )


@lru_cache(maxsize=64)
def _trained(sample: TransformerPass) -> int:
    if sample.adapters is None:
        return sample.model.parameters
    return sum(block.part.parameters + block.expert_parameters for block in transformer_blocks(sample))


@lru_cache(maxsize=64)
def _flops(sample: TransformerPass, recompute: Recompute) -> StepFlops:
    return step_flops(transformer_blocks(sample), recompute=recompute, causal=sample.model.causal)


def _check_table(model: LayerTableModel, *, sequence: int | None, whole: bool) -> None:
    if sequence is not None:
        raise InputError(Problem(("sequence",), f"{model.name} has no tokens; leave 'sequence' out"))
    if not whole:
        raise CannotRunError(
            Problem(
                ("model",), f"{model.name} is a layer table; a layer of it cannot be divided, nor adapted"
            )
        )
