"""fp8 in training: which kernels have it, what it adds, what is kept."""

from __future__ import annotations

import pytest
from training_shapes import H100, cost, gpt, layer, short

from clustersim import catalog
from clustersim.cost.training.passes import TransformerPass
from clustersim.cost.training.shard import Shard
from clustersim.cost.training.transformer import transformer_blocks
from clustersim.errors import CatalogError

S = 2048


def operators(model, arithmetic: str):
    run = TransformerPass(model=model, samples=1, sequence=S, arithmetic=arithmetic, attention="fused")
    return [
        operator
        for block in transformer_blocks(run)
        for operator in (*block.part.forward, *block.part.backward, *block.part.weight)
    ]


def test_linear_layers_of_layers_alone_are_fp8():
    found = {op.name: op.precision for op in operators(short("mixtral-8x7b"), "fp8") if op.shape is not None}
    assert {name for name, precision in found.items() if precision == "fp8"} == {
        name + suffix
        for name in ("qkv", "projection", "up", "down")
        for suffix in ("", ".input_gradient", ".weight_gradient")
    }
    assert {found[name] for name in ("logits", "router", "attention")} == {"bf16"}


def test_inputs_and_gradients_are_cast_once_each():
    model = gpt()
    casts = [op for op in operators(model, "fp8") if op.name.endswith("cast")]
    tokens, h = S, model.hidden
    inputs, outputs = h + h + h + 4 * h, 3 * h + h + 4 * h + h
    assert sum(op.bytes_moved for op in casts) == model.layers * tokens * 6 * (inputs + outputs)
    assert not [op for op in operators(model, "bf16") if "cast" in op.name]


def test_fp8_inputs_are_kept_in_one_byte():
    model = gpt()
    half, fp8 = (
        sum(block.activation_bytes for block in layer(cost(model, H100, precision=precision, micro_batch=1)))
        for precision in ("bf16", "fp8")
    )
    # Inputs of qkv, up and down shrink from 2 bytes to 1; that of the projection is a copy beside
    # the result of attention.
    assert half - fp8 == S * model.hidden * (1 + 1 + 4 - 1)


def test_fp8_products_are_faster_by_more_than_their_casts_cost():
    half, fp8 = (
        cost(catalog.model("llama-2-7b"), H100, precision=precision, micro_batch=1, sequence=4096)
        for precision in ("bf16", "fp8")
    )
    assert 1.2 < half.forward.seconds / fp8.forward.seconds < 2.0
    assert fp8.forward.memory_s > half.forward.memory_s


def test_messages_of_tensor_parallelism_stay_16_bit():
    half, fp8 = (
        cost(gpt(), H100, precision=precision, shard=Shard(tensor=2, sequence=True)).layers[1]
        for precision in ("bf16", "fp8")
    )
    assert [each.size_bytes for each in half.messages_forward] == [
        each.size_bytes for each in fp8.messages_forward
    ]


def test_a_device_without_fp8_is_refused():
    with pytest.raises(CatalogError, match="fp8"):
        cost(gpt(), precision="fp8")


def test_wide_gradient_buffers_are_read_and_written():
    model = gpt()
    wide, narrow = (
        sum(
            op.bytes_moved
            for block in transformer_blocks(
                TransformerPass(
                    model=model,
                    samples=1,
                    sequence=S,
                    arithmetic="bf16",
                    attention="fused",
                    gradient_bytes=size,
                )
            )
            for op in block.part.weight
        )
        for size in (4.0, 2.0)
    )
    weights = model.layers * 12 * model.hidden**2 + model.vocab * model.hidden
    # The products add to the buffer themselves; the gradient of the table is written first.
    expected = weights * (4 + 4 - 2) + model.embedding_parameters * (2 + 4 + 4)
    assert wide - narrow == pytest.approx(expected)
