"""Bytes on the GPUs of a training job, and what does not fit."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.catalog.models import TransformerModel
from clustersim.errors import CannotRunError
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.fit import Room
from clustersim.workloads.training.laid_out import LaidOut
from clustersim.workloads.training.memory import MemoryBreakdown, offloaded

GIB = 2**30
GPT_LAYER = 12 * 12288**2 + 13 * 12288
"""Parameters of a layer of GPT-3: 12·h² + 13·h (Narayanan et al., SC21, equation 2)."""


def job(model: str, gpus: int, **fields: Any) -> TrainingSpec:
    usual = {"kind": "training", "name": "job", "model": model, "gpus": gpus, "micro_batch": 1, "steps": 1}
    return TrainingSpec.model_validate(usual | fields)


def names(spec: TrainingSpec) -> list[str]:
    return [f"gpu{number}" for number in range(spec.gpus)]


def room(spec: TrainingSpec, gpu: str = "a100-sxm4-80gb") -> Room:
    accelerator = catalog.accelerator(gpu)
    return Room(catalog.model(spec.model), accelerator, names(spec), accelerator.memory_bytes)


def laid_out(
    spec: TrainingSpec, gpu: str = "a100-sxm4-80gb", model: TransformerModel | None = None
) -> tuple[MemoryBreakdown, ...]:
    model = model or catalog.model(spec.model)
    return LaidOut.of(spec, model=model, accelerator=catalog.accelerator(gpu), gpus=names(spec)).memory


def memory(model: str, gpus: int, **fields: Any) -> tuple[MemoryBreakdown, ...]:
    return laid_out(job(model, gpus, **fields))


def gpt(**fields: Any) -> tuple[MemoryBreakdown, ...]:
    """GPT-3 175B on 1,024 GPUs in 8 stages of 8 GPUs, with anything changed."""
    layout = {"tensor": 8, "pipeline": 8} | fields.pop("parallelism", {})
    usual = {"precision": "fp16", "attention": "unfused", "global_batch": 1536, "parallelism": layout}
    return memory("gpt3-175b", 1024, **usual | fields)


def states(stage: MemoryBreakdown) -> float:
    return stage.weights + stage.gradients + stage.master_weights + stage.optimizer_states


def test_a_parameter_takes_sixteen_bytes_with_adam_in_mixed_precision():
    """A stage between the ends has 12 of 96 layers, each divided by 8 but for norms and two biases."""
    undivided = 12 * 6 * 12288
    parameters = (12 * GPT_LAYER - undivided) / 8 + undivided
    assert states(gpt()[3]) == 16 * parameters


@pytest.mark.parametrize(
    ("zero", "bytes_per_parameter"),
    [(0, 16.0), (1, 4 + 12 / 16), (2, 2 + 14 / 16), (3, 16 / 16)],
)
def test_zero_divides_states_then_gradients_then_weights(zero: int, bytes_per_parameter: float):
    """Rajbhandari et al., SC20, figure 1: 16 replicas here."""
    whole, divided = gpt()[3], gpt(parallelism={"zero": zero})[3]
    assert states(divided) / states(whole) == pytest.approx(bytes_per_parameter / 16)


def test_hybrid_shards_divide_by_the_replicas_of_a_shard_alone():
    whole, divided = gpt()[3], gpt(parallelism={"zero": 3, "shard": 4})[3]
    assert states(divided) == pytest.approx(states(whole) / 4)


def test_experts_are_divided_by_the_ranks_that_hold_them():
    """Mixtral on 8 GPUs: an expert on each, so that ZeRO has nothing to divide of the experts."""
    fields = {"parallelism": {"expert": 8, "zero": 1}, "recompute": "full"}
    (found,) = memory("mixtral-8x7b", 8, **fields)
    model = catalog.model("mixtral-8x7b")
    experts = 32 * 3 * 4096 * 14336
    dense = model.parameters - 8 * experts
    assert found.optimizer_states == pytest.approx(8 * (dense / 8 + experts))


def test_tied_embeddings_are_on_the_last_stage_again():
    first, last = gpt()[0], gpt()[-1]
    table = 16 * 12288 * -(-50257 // 8)
    positions, final_norm = 16 * 12288 * 2048, 16 * 2 * 12288
    assert states(first) == states(gpt()[3]) + table + positions
    assert states(last) == states(gpt()[3]) + table + final_norm


def test_activations_of_the_first_stage_are_those_of_all_layers():
    """Korthikanti et al., equation 5 and section 4.3: L·s·b·h/t·(34 + 5·a·s/h) and s·b·h·p/t."""
    layers, tokens, hidden, heads, tensor, stages = 96, 2048, 12288, 96, 8, 8
    element = tokens * hidden / tensor
    expected = layers * element * (34 + 5 * heads * tokens / hidden) + stages * element
    assert gpt()[0].activations == pytest.approx(expected)


def test_interleaving_keeps_more_activations():
    """Korthikanti et al., section 4.2.3: (1 + (p - 1)/(p·m)) times as many, with m chunks per stage."""
    once = gpt(global_batch=2048)[0].activations
    twice = gpt(global_batch=2048, parallelism={"virtual_stages": 3})[0].activations
    embedding = 2048 * 12288 / 8
    without = (once - 8 * embedding) * (1 + 7 / (8 * 3))
    assert twice == pytest.approx(without + embedding * 15, rel=1e-3)


@settings(deadline=None)
@given(st.integers(1, 24))
def test_activations_grow_with_the_micro_batches_in_flight(micro_batches: int):
    def kept(schedule: str) -> list[float]:
        layout = {"pipeline": 4, "schedule": schedule}
        found = memory("gpt3-1.3b", 4, global_batch=micro_batches, parallelism=layout)
        return [stage.activations for stage in found]

    one = memory("gpt3-1.3b", 4, global_batch=1, parallelism={"pipeline": 4})
    inner = [stage.activations for stage in one][1:3]
    assert kept("gpipe")[1:3] == pytest.approx([micro_batches * size for size in inner])
    assert kept("1f1b")[1:3] == pytest.approx([min(micro_batches, 4 - s) * inner[s - 1] for s in (1, 2)])
    assert kept("zero-bubble")[1:3] == pytest.approx([min(micro_batches, 4) * size for size in inner])


def test_full_recomputation_keeps_inputs_of_layers_and_one_layer():
    """Stage 3 of 8 has 5 micro-batches of 12 layers in flight; 2 of 34 + 80 bytes are a layer's input."""
    element = 2048 * 12288 / 8
    found = gpt(recompute="full")[3].activations
    assert found == pytest.approx(5 * 12 * 2 * element + (32 + 80) * element)


def test_fewer_recomputed_layers_keep_more():
    kept = [gpt(recompute="full", recompute_layers=layers)[3].activations for layers in (12, 8, 4)]
    assert gpt(recompute="full")[3].activations == kept[0] < kept[1] < kept[2] < gpt()[3].activations


def test_prefetched_layers_are_whole_for_a_while():
    def buffers(prefetch: int) -> float:
        overlap = {"prefetch": prefetch}
        (found,) = memory("llama-2-70b", 64, parallelism={"zero": 3}, overlap=overlap, recompute="full")
        return found.collective_buffers

    layer = catalog.model("llama-2-70b").layer_parameters
    assert buffers(2) - buffers(1) == buffers(1) - buffers(0) == 2 * layer


def test_what_goes_to_the_host_leaves_the_gpu():
    found = gpt()[0]
    left, host = offloaded(found, {"optimizer_states": 1.0, "activations": 0.5})
    assert left.optimizer_states == 0
    assert left.activations == found.activations / 2
    assert left.total_bytes + sum(host.values()) == pytest.approx(found.total_bytes)


SC21 = {
    "megatron-1.7b": (32, 1, 1, 512),
    "megatron-3.6b": (64, 2, 1, 512),
    "megatron-7.5b": (128, 4, 1, 512),
    "megatron-18.4b": (256, 8, 1, 1024),
    "megatron-39.1b": (512, 8, 2, 1536),
    "megatron-76.1b": (1024, 8, 4, 1792),
    "megatron-145.6b": (1536, 8, 8, 2304),
    "megatron-310.1b": (1920, 8, 16, 2160),
    "megatron-turing-530b": (2520, 8, 35, 2520),
    "megatron-1t": (3072, 8, 64, 3072),
}
"""GPUs, tensor, pipeline and global batch of Narayanan et al., SC21, table 1."""


@pytest.mark.parametrize("model", SC21)
def test_models_of_megatron_fit_where_they_were_trained(model: str):
    gpus, tensor, pipeline, batch = SC21[model]
    layout = {"tensor": tensor, "pipeline": pipeline, "sequence": False}
    spec = job(
        model,
        gpus,
        parallelism=layout,
        global_batch=batch,
        precision="fp16",
        attention="unfused",
        recompute="full",
    )
    room(spec).check(spec, laid_out(spec))


@pytest.mark.parametrize(
    ("gpu", "spec"),
    [
        ("a100-sxm4-80gb", job("llama-2-70b", 64, parallelism={"zero": 3}, recompute="full")),
        (
            "a100-sxm4-80gb",
            job(
                "megatron-1t",
                512,
                parallelism={"tensor": 8, "pipeline": 64},
                precision="fp16",
                recompute="full",
            ),
        ),
        (
            # Llama team, 2024, table 4: no recomputation, gradients divided among replicas.
            "h100-sxm5-80gb",
            job(
                "llama-3.1-405b",
                16_384,
                parallelism={"tensor": 8, "pipeline": 16, "zero": 2},
                global_batch=2048,
                sequence=8192,
            ),
        ),
    ],
)
def test_layouts_that_were_published_fit(gpu: str, spec: TrainingSpec):
    room(spec, gpu).check(spec, laid_out(spec, gpu))


def refusal(spec: TrainingSpec) -> str:
    with pytest.raises(CannotRunError) as caught:
        room(spec).check(spec, laid_out(spec))
    (problem,) = caught.value.problems
    return problem.message


def test_gpt_3_does_not_fit_on_eight_gpus_whatever_is_changed():
    message = refusal(job("gpt3-175b", 8, parallelism={"tensor": 8}, precision="fp16"))
    assert message.startswith(
        "a replica needs 337 GiB of GPU memory, a100-sxm4-80gb has 80 GiB (weights 40.7 GiB"
    )
    assert "no other recompute, micro_batch, zero, tensor or pipeline makes it fit" in message


def test_a_refusal_names_the_worst_stage_and_what_fits():
    layout = {"tensor": 8, "pipeline": 8}
    spec = job("gpt3-175b", 64, parallelism=layout, precision="fp16", micro_batch=4, global_batch=64)
    message = refusal(spec)
    assert message.startswith(
        "stage 0 of 8 needs 82.9 GiB of GPU memory, a100-sxm4-80gb has 80 GiB (weights "
    )
    assert message.endswith("it fits with 'recompute: full' (47.2 GiB) or 'micro_batch: 2' (63.6 GiB)")


def test_what_is_proposed_fits_and_nothing_nearer_does():
    spec = job("llama-2-70b", 64, parallelism={"tensor": 8, "zero": 1}, micro_batch=8, global_batch=64)
    found = dict(room(spec).fitting(spec))
    assert set(found) == {"recompute: full", "micro_batch: 1"}
    nearer = spec.model_copy(update={"micro_batch": 2})
    assert found["micro_batch: 1"] <= room(spec).memory_bytes < laid_out(nearer)[0].total_bytes


def test_where_one_change_is_not_enough_recomputation_is_proposed_with_another():
    spec = job("llama-2-70b", 64, parallelism={"tensor": 4, "zero": 1}, micro_batch=8)
    assert "it fits with 'zero: 2' and 'recompute: full' (" in refusal(spec)


def test_memory_of_bloom_candidates_is_19_to_32_percent_below_the_measured(shared: Callable[[str], Path]):
    """Megatron-DeepSpeed keeps a micro-batch more in flight, and fp32 gradients for the update."""
    with shared("truth/A_llm_training.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["mem_gb"] and row["heads"] and row["layers"]]
    assert len(rows) > 10
    for row in rows:
        number = {
            name: int(float(row[name])) for name in ("layers", "hidden", "heads", "gpu_count", "tp", "pp")
        }
        if number["heads"] % number["tp"]:
            continue
        found = laid_out(bloom_job(row), model=candidate(number))
        ratio = max(stage.total_bytes for stage in found) / GIB / float(row["mem_gb"])
        assert 0.68 < ratio < 0.82, row["row_id"]


def candidate(number: dict[str, int]) -> TransformerModel:
    hidden, heads = number["hidden"], number["heads"]
    return TransformerModel(
        name="candidate",
        layers=number["layers"],
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        ffn_hidden=4 * hidden,
        gated_ffn=False,
        vocab=250_000,
        tied_embeddings=True,
        max_sequence=2048,
        positional="alibi",
        norm="layernorm",
        bias="all",
    )


def bloom_job(row: dict[str, str]) -> TrainingSpec:
    layout = {"tensor": int(row["tp"]), "pipeline": int(row["pp"]), "zero": 1, "sequence": False}
    return job(
        "bloom-176b",
        int(row["gpu_count"]),
        parallelism=layout,
        micro_batch=int(row["micro_batch"]),
        global_batch=int(row["global_batch"]),
        precision="fp16" if "fp16" in row["dtype"] else "bf16",
        recompute="full",
        attention="unfused",
    )


@pytest.mark.parametrize(("precision", "more"), [("bf16", 2.0), ("fp16", 0.0)])
def test_deepspeed_keeps_bf16_gradients_beside_their_undivided_sums(precision: str, more: float) -> None:
    gpus = [f"gpu{number}" for number in range(8)]
    fields: dict[str, Any] = {
        "kind": "training",
        "name": "job",
        "model": "llama-2-7b",
        "gpus": 8,
        "micro_batch": 1,
        "steps": 1,
        "parallelism": {"zero": 1},
        "precision": precision,
    }
    alone, both = (
        LaidOut.of(
            TrainingSpec.model_validate(fields | {"gradients": gradients}),
            model=catalog.model("llama-2-7b"),
            accelerator=catalog.accelerator("a100-sxm4-80gb"),
            gpus=gpus,
        )
        for gradients in (None, "both")
    )
    parameters = sum(layer.parameters for chunk in alone.chunks for layer in chunk)
    spared = both.memory[0].gradients - alone.memory[0].gradients
    assert spared == pytest.approx(more * parameters)
    assert both.cost.gradient_bytes_per_parameter == alone.cost.gradient_bytes_per_parameter
