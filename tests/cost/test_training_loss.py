"""The loss over a vocabulary: its bytes are those of Megatron-LM's kernels, of the words of one GPU."""

from dataclasses import replace

import pytest

from clustersim import catalog
from clustersim.cost.training.ends import MASKED_FRACTION, output_block
from clustersim.cost.training.passes import TransformerPass
from clustersim.cost.training.shard import Shard

MODEL = catalog.model("llama-2-7b")


def losses(model=MODEL, *, tensor=1):
    run = TransformerPass(
        model=model,
        samples=2,
        sequence=512,
        arithmetic="bf16",
        attention="fused",
        shard=Shard(tensor=tensor, sequence=tensor > 1),
    )
    part = output_block(run).part
    kernels = {each.name: each for each in (*part.forward, *part.backward)}
    return kernels["loss"], kernels["loss.backward"]


def test_the_loss_moves_nine_fp32_logits_forward_three_backward_and_the_16_bit_ones_once():
    logits = 2 * 512 * MODEL.vocab
    forward, backward = losses()
    assert forward.bytes_moved == logits * (2 + 9 * 4)
    assert backward.bytes_moved == logits * (2 + 3 * 4)


@pytest.mark.parametrize("tensor", [2, 8])
def test_a_tensor_group_divides_the_loss(tensor):
    assert [each.bytes_moved for each in losses(tensor=tensor)] == [
        each.bytes_moved / tensor for each in losses()
    ]


def test_a_masked_model_has_a_loss_for_masked_tokens_alone():
    masked = replace(MODEL, causal=False)
    assert losses(masked)[0].bytes_moved == pytest.approx(MASKED_FRACTION * losses()[0].bytes_moved)
