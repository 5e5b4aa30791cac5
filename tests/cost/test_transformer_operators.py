"""Operators of transformers: FLOPs, bytes and shards against closed forms."""

from dataclasses import replace

import pytest

from clustersim import catalog
from clustersim.cost import mixture, transformer
from clustersim.cost.roofline import Roofline

DENSE = ["llama-2-7b", "llama-2-70b", "gpt3-175b", "opt-13b", "bert-large", "qwen2-7b", "palm-540b"]


@pytest.mark.parametrize("name", DENSE)
def test_a_forward_pass_takes_two_flops_per_matrix_weight_and_token_plus_attention(name):
    model = catalog.model(name)
    queries, batch = 512, 3
    matrices = model.layers * (
        model.hidden * model.head_dim * 2 * (model.heads + model.kv_heads)
        + (3 if model.gated_ffn else 2) * model.hidden * model.ffn_hidden
    )
    matrices += model.vocab * model.hidden
    pairs = queries * (queries + 1) / 2 if model.causal else queries**2
    attention = 4 * model.layers * model.heads * model.head_dim * pairs * batch
    expected = 2 * matrices * queries * batch + attention
    assert transformer.forward_flops(model, queries=queries, batch=batch) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("name", ["megatron-1.7b", "megatron-145.6b", "megatron-1t", "gpt3-175b"])
def test_gpt_flops_are_those_of_narayanan_et_al(name):
    # SC21 (arXiv:2104.04473), section 5.1: 96·B·s·l·h²·(1 + s/(6h) + V/(16·l·h)) with recomputation is
    # four forward passes of the layers and three of the logits; attention is counted without the mask
    model = replace(catalog.model(name), causal=False)
    batch, s, h, layers, vocab = 4, 2048, model.hidden, model.layers, model.vocab
    published = 96 * batch * s * layers * h**2 * (1 + s / (6 * h) + vocab / (16 * layers * h))
    logits = 2 * batch * s * h * vocab
    ours = 4 * (transformer.forward_flops(model, queries=s, batch=batch) - logits) + 3 * logits
    assert ours == pytest.approx(published, rel=1e-9)


@pytest.mark.parametrize("name", ["llama-2-70b", "mixtral-8x7b", "deepseek-v3", "gpt3-175b"])
def test_tensor_shards_together_do_the_products_of_the_whole(name):
    model = catalog.model(name)
    layer = model.layers - 1

    def flops(tensor):
        operators = transformer.layer_operators(
            model, tokens=100, precision="bf16", tensor=tensor, layer=layer
        )
        shared = ("moe.router", "attention.kv_compress", "attention.query_compress")
        return sum(op.flops for op in operators if op.kind == "gemm" and op.name not in shared)

    assert 8 * flops(8) == pytest.approx(flops(1), rel=1e-12)


def test_a_chunk_after_a_past_completes_the_attention_of_the_whole_prompt():
    model = catalog.model("llama-3-8b")
    whole = transformer.attention_prefill(model, queries=2048, precision="bf16")
    chunks = [
        transformer.attention_prefill(model, queries=512, past=past, precision="bf16")
        for past in (0, 512, 1024, 1536)
    ]
    assert sum(chunk.flops for chunk in chunks) == pytest.approx(whole.flops, rel=1e-12)


def test_decode_reads_the_whole_cache_once():
    model = catalog.model("llama-2-70b")
    context = 64 * 1000
    operator = transformer.attention_decode(model, batch=64, context_sum=context, precision="bf16", tensor=8)
    cache = context * transformer.kv_bytes_per_token(model, precision="bf16", tensor=8) / model.layers
    assert cache == context * 2 * 1 * 128 * 2
    assert cache < operator.bytes_moved < 1.02 * cache


def test_more_gpus_than_key_value_heads_keep_one_head_each():
    model = catalog.model("llama-2-70b")
    one, eight, sixteen = (
        transformer.kv_bytes_per_token(model, precision="bf16", tensor=tensor) for tensor in (1, 8, 16)
    )
    assert one == 8 * eight
    assert sixteen == eight
    assert transformer.tensor_problems(model, tensor=16) == []
    assert transformer.tensor_problems(model, tensor=3) == [
        "heads (64) cannot be divided over 3 GPUs",
        "feed-forward width (28672) cannot be divided over 3 GPUs",
        "key-value heads (8) cannot be divided over 3 GPUs",
    ]


@pytest.mark.parametrize("name", ["llama-2-7b", "mixtral-8x7b", "deepseek-v3", "bert-large"])
def test_weights_of_one_gpu_are_all_parameters_and_shards_a_little_more_than_their_part(name):
    model = catalog.model(name)
    whole = transformer.weight_bytes(model, precision="bf16")
    assert whole == 2 * model.parameters
    part = transformer.weight_bytes(model, precision="bf16", tensor=4)
    assert whole / 4 <= part < whole / 4 * 1.02


def test_layers_fall_into_runs_of_equal_ones():
    assert transformer.layer_groups(catalog.model("deepseek-v3")) == [(0, 3), (3, 58)]
    assert transformer.layer_groups(catalog.model("llama-2-7b")) == [(0, 32)]


def test_few_tokens_visit_their_experts_and_many_visit_all():
    assert mixture.experts_visited(tokens=1, experts=8, experts_per_token=2) == pytest.approx(2)
    assert mixture.experts_visited(tokens=1000, experts=8, experts_per_token=2) == pytest.approx(8)


def test_a_mixture_does_the_flops_of_its_active_parameters():
    model = catalog.model("mixtral-8x7b")
    flops = transformer.forward_flops(model, queries=1, batch=1)
    assert flops == pytest.approx(2 * (model.active_parameters - model.vocab * model.hidden), rel=1e-3)


def test_a_vision_transformer_has_neither_embedding_nor_logits():
    model = catalog.model("vit-b-16")
    assert transformer.embedding_operators(model, tokens=197, precision="fp16") == []
    assert [op.name for op in transformer.output_operators(model, tokens=197, precision="fp16")] == [
        "output.norm"
    ]


def test_a_decode_step_of_one_request_takes_about_the_time_to_read_the_weights():
    model, device = catalog.model("llama-2-7b"), catalog.accelerator("a100")
    step = Roofline(device).stream(transformer.layer_operators(model, tokens=1, precision="bf16")) * 32
    read = transformer.weight_bytes(model, precision="bf16") / device.memory_bandwidth_bytes_per_s
    assert read < step.seconds < 2 * read
    assert step.compute_s < 1e-3 * step.memory_s
