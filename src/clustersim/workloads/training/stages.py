"""Which layers each chunk of each pipeline stage has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Protocol, TypeVar

from clustersim.cost.training.training_cost import LayerCost
from clustersim.errors import InputError, Problem
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.layout import Layout

__all__ = ["assign", "divide", "layer_units", "stage_chunks"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


B = TypeVar("B", bound=_Named)

_EMBEDDING, _OUTPUT = "embedding", "output"
"""Blocks of a transformer that are part of no layer."""

_BEGINNING = re.compile(r"\.(?!\d)")


def layer_units(blocks: Sequence[B]) -> tuple[tuple[B, ...], ...]:
    """Return the blocks of each layer together; one that is part of no layer is alone.

    Blocks are of one layer where their names begin alike, up to a point (`layer7.attention` and
    `layer7.ffn`), or up to a number after it (`layer1.0.conv1` and `layer1.0.conv2` of a layer table).
    """
    units = groupby(blocks, key=lambda block: _BEGINNING.split(block.name, maxsplit=1)[0])
    return tuple(tuple(unit) for _, unit in units)


def assign(
    blocks: Sequence[B],
    layout: Layout,
    *,
    virtual_stages: int = 1,
    layers_per_stage: Sequence[int] | None = None,
) -> tuple[tuple[B, ...], ...]:
    """Divide the model's blocks over the chunks of all stages.

    Chunk number k of the model is chunk k // stages of stage k % stages. What stands before the first
    layer goes to the first chunk, what stands after the last layer to the last one. Where layers do not
    divide evenly, chunks at the ends have one less, as their GPUs have the embedding and the output
    too: Llama 3 has one layer less on the first and on the last stage, BLOOM counts both as layers.

    Parameters
    ----------
    blocks
        In the order of the model.
    layers_per_stage
        Layers of each chunk. Default: as even as can be.

    Returns
    -------
    Blocks of each chunk, in the order of the model; at least one layer in each.

    Raises
    ------
    InputError
        If there are fewer layers than chunks, or `layers_per_stage` does not add up to the model.

    **Source:** Llama team, "The Llama 3 Herd of Models", 2024, section 3.3.2; Scao et al., "BLOOM", 2022,
    section 3.4.3.
    **Checked by:** tests/workloads/test_training_stages.py.
    """
    first, layers, last = _parts(blocks)
    chunks = layout.pipeline * virtual_stages
    counts = _even(len(layers), chunks, layout, virtual_stages)
    if layers_per_stage is not None:
        counts = tuple(layers_per_stage)
        _check_counts(counts, layers=len(layers), chunks=chunks)
    ends = [0]
    for count in counts:
        ends.append(ends[-1] + count)
    divided = [[block for unit in layers[begin:end] for block in unit] for begin, end in pairwise(ends)]
    divided[0][:0] = first
    divided[-1].extend(last)
    return tuple(map(tuple, divided))


def stage_chunks(chunks: Sequence[Sequence[B]], *, stage: int, stages: int) -> tuple[Sequence[B], ...]:
    """Return the chunks of one stage."""
    return tuple(chunks[stage::stages])


def divide(
    layers: Sequence[LayerCost], layout: Layout, spec: TrainingSpec
) -> tuple[tuple[LayerCost, ...], ...]:
    """Divide the blocks as a spec says, and recompute as many layers of each stage as it says.

    See `assign`. Layers that are recomputed are the first of their stage.

    **Source:** NVIDIA Megatron-LM, `--recompute-method block --recompute-num-layers`.
    """
    parallelism = spec.parallelism
    chunks = assign(
        layers,
        layout,
        virtual_stages=parallelism.virtual_stages,
        layers_per_stage=parallelism.layers_per_stage,
    )
    if spec.recompute_layers is None or spec.recompute != "full":
        return chunks
    seen = [0] * layout.pipeline
    found: list[tuple[LayerCost, ...]] = []
    for number, chunk in enumerate(chunks):
        blocks: list[LayerCost] = []
        for unit in layer_units(chunk):
            enough = seen[number % layout.pipeline] >= spec.recompute_layers
            seen[number % layout.pipeline] += unit[0].layer is not None
            blocks += (block.stored() for block in unit) if enough else unit
        found.append(tuple(blocks))
    return tuple(found)


def _parts(blocks: Sequence[B]) -> tuple[list[B], list[tuple[B, ...]], list[B]]:
    """Return what stands before the layers, the layers, and what stands after them."""
    units = list(layer_units(blocks))
    before = list(units.pop(0)) if units[0][0].name == _EMBEDDING else []
    after = list(units.pop()) if units[-1][0].name == _OUTPUT else []
    return before, units, after


def _even(layers: int, chunks: int, layout: Layout, virtual_stages: int) -> tuple[int, ...]:
    if layers < chunks:
        field = "virtual_stages" if virtual_stages > 1 and layers >= layout.pipeline else "pipeline"
        most = layers // layout.pipeline if field == "virtual_stages" else layers
        message = (
            f"{layout.pipeline} stages of {virtual_stages} chunks need as many layers, "
            f"the model has {layers}; at most {most}"
        )
        raise InputError(Problem(("parallelism", field), message))
    each, more = divmod(layers, chunks)
    fewer = chunks - more if more else 0
    at_start, at_end = fewer // 2, fewer - fewer // 2
    return tuple(each + (more > 0 and at_start <= chunk < chunks - at_end) for chunk in range(chunks))


def _check_counts(counts: Sequence[int], *, layers: int, chunks: int) -> None:
    path = ("parallelism", "layers_per_stage")
    if len(counts) != chunks:
        raise InputError(Problem(path, f"has {len(counts)} numbers for {chunks} chunks of layers"))
    if sum(counts) != layers:
        raise InputError(Problem(path, f"adds up to {sum(counts)} layers, the model has {layers}"))
