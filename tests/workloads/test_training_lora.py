"""Fine-tuning with adapters: what is trained, kept, said and computed."""

from __future__ import annotations

import pytest
from training_jobs import buckets, cluster, job, kernels_s, program, run, workload

from clustersim.errors import InputError
from clustersim.workloads.training.program import Launch

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FEW = {"rank": 8, "targets": ["q_proj", "v_proj"]}


def tuned(**fields):
    return job(**({"model": "llama-2-7b", "micro_batch": 1, "sequence": 512} | fields))


@pytest.mark.parametrize(
    ("model", "lora", "trained", "everything"),
    [
        ("llama-2-7b", FEW, 4_194_304, 6_742_609_920),
        ("llama-2-7b", {"rank": 16, "targets": ALL}, 39_976_960, 6_778_392_576),
        ("llama-3-8b", {"rank": 16, "targets": ALL}, 41_943_040, 8_072_204_288),
    ],
)
def test_as_many_parameters_are_trained_as_peft_prints(model, lora, trained, everything):
    training = workload(tuned(model=model, lora=lora, gpus=1), cluster(nodes=1, node="dgx-h100"))
    facts = training.job.facts()
    assert facts["trained_parameters"] == trained
    assert facts["parameters"] + trained == everything


def test_frozen_weights_take_two_bytes_and_adapters_eighteen():
    training = workload(tuned(lora=FEW, gpus=1, gradients="fp32"), cluster(nodes=1, node="dgx-h100"))
    memory, trained = training.job.memory[0], 4_194_304
    frozen = training.job.model.parameters
    stored = memory.weights + memory.gradients + memory.master_weights + memory.optimizer_states
    assert stored == 2 * frozen + 18 * trained


def test_replicas_add_up_gradients_of_adapters_alone():
    training = workload(tuned(lora=FEW), cluster(node="dgx-h100", nodes=1))
    each_bytes = training.job.cost.gradient_bytes_per_parameter
    summed_bytes = sum(each.size_bytes for each in buckets(training) if each.dimension == "data")
    assert summed_bytes == 4_194_304 * each_bytes


def test_zero_3_gathers_frozen_weights_but_scatters_no_gradients_of_them():
    spec = tuned(lora=FEW, parallelism={"zero": 3})
    training = workload(spec, cluster(node="dgx-h100", nodes=1))
    said = [each for each in program(training) if isinstance(each, Launch)]
    gathered, scattered = (
        sum(each.size_bytes for each in said if each.collective == name)
        for name in ("all_gather", "reduce_scatter")
    )
    frozen = training.job.model.parameters
    # Before the forward and before the backward pass, which the frozen embedding does not have.
    assert gathered == 2 * 2 * (frozen + 4_194_304) - 2 * training.job.model.embedding_parameters
    assert scattered == 4_194_304 * training.job.cost.gradient_bytes_per_parameter


def test_an_iteration_is_its_kernels_and_the_sum_of_the_adapters_gradients():
    spec = tuned(lora=FEW, overlap={"enabled": False})
    training, _ = run(spec, cluster(node="dgx-h100", nodes=1))
    metrics = training.outcome().metrics
    assert metrics["iteration_s.mean"] == pytest.approx(
        kernels_s(training) + metrics["exposed_data_s"], rel=1e-9
    )
    full, _ = run(
        tuned(overlap={"enabled": False}, optimizer="sgd", gradients="half"),
        cluster(node="dgx-h100", nodes=1),
    )
    whole = full.outcome().metrics
    assert metrics["exposed_data_s"] < 0.02 * whole["exposed_data_s"]
    passes_s, whole_s = (each["forward_s"] + each["backward_s"] for each in (metrics, whole))
    assert 0.6 < passes_s / whole_s < 0.8  # two of three products are left, and the adapters' own


def test_a_target_that_no_model_has_is_told_with_its_place():
    with pytest.raises(InputError, match=r"lora\.targets: no linear layer is called 'qproj'.*q_proj"):
        workload(tuned(lora={"targets": ["qproj"]}), cluster(node="dgx-h100", nodes=1))


def test_a_layer_gets_one_adapter():
    with pytest.raises(InputError, match=r"lora\.targets: 'q_proj' would get two adapters"):
        workload(tuned(lora={"targets": ["qkv", "q_proj"]}), cluster(node="dgx-h100", nodes=1))
