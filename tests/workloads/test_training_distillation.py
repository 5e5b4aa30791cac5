"""A student and its teacher on the same GPUs."""

from __future__ import annotations

import pytest
from training_jobs import buckets, cluster, job, program, run, workload

from clustersim import catalog
from clustersim.cost.training.training_cost import training_cost
from clustersim.errors import InputError
from clustersim.workloads.training.program import Launch, Send

TOPOLOGY = cluster(nodes=2, node="dgx-h100")
TEACHER = {"teacher": "llama-2-13b"}


def taught(**fields):
    usual = {"model": "llama-2-7b", "micro_batch": 1, "sequence": 1024, "distillation": TEACHER}
    return job(**(usual | {"gpus": 8, "parallelism": {"zero": 3}} | fields))


def test_a_step_takes_the_teachers_forward_pass_more_and_the_loss():
    spec = taught(parallelism={"tensor": 8})
    alone, both = (
        run(spec.model_copy(update={"distillation": each}), TOPOLOGY)[0].outcome().metrics
        for each in (None, spec.distillation)
    )
    h100 = catalog.accelerator("h100-sxm5-80gb")
    teacher = training_cost(
        catalog.model("llama-2-13b"),
        h100,
        precision="bf16",
        micro_batch=1,
        sequence=1024,
        shard=workload(spec, TOPOLOGY).job.layout.shard,
    )
    loss_s = 1024 * 32000 / 8 * 16 / h100.memory_bandwidth_bytes_per_s
    more_s = both["forward_s"] - alone["forward_s"]
    assert more_s == pytest.approx(teacher.forward.seconds + loss_s, rel=0.01)
    assert both["backward_s"] == pytest.approx(alone["backward_s"], rel=0.01)
    assert both["optimizer_s"] == alone["optimizer_s"]


def test_a_teacher_has_weights_and_neither_gradients_nor_states():
    alone, both = (workload(taught(distillation=each), TOPOLOGY).job for each in (None, TEACHER))
    before, after = alone.memory[0], both.memory[0]
    teacher = catalog.model("llama-2-13b")
    assert after.weights - before.weights == pytest.approx(2 * teacher.parameters / 8)
    assert (after.gradients, after.optimizer_states) == (before.gradients, before.optimizer_states)
    assert after.activations - before.activations == pytest.approx(2 * 1024 * teacher.vocab)
    assert both.facts()["parameters"] == alone.facts()["parameters"]


def test_replicas_sum_gradients_of_the_student_alone():
    spec = taught(model="llama-2-7b", parallelism={"tensor": 4}, distillation={"teacher": "llama-2-7b"})
    alone = workload(spec.model_copy(update={"distillation": None}), TOPOLOGY)
    sums = [
        sum(each.size_bytes for each in buckets(training) if each.dimension == "data")
        for training in (alone, workload(spec, TOPOLOGY))
    ]
    assert sums[0] == sums[1] > 0


def test_a_divided_teacher_is_gathered_once_for_its_forward_pass():
    said = [
        sum(each.size_bytes for each in program(workload(spec, TOPOLOGY)) if isinstance(each, Launch))
        for spec in (taught(distillation=None), taught())
    ]
    assert said[1] - said[0] == 2 * catalog.model("llama-2-13b").parameters


def test_stages_send_the_hidden_states_of_both_and_the_students_gradients():
    spec = taught(parallelism={"pipeline": 2, "tensor": 4})
    alone, both = (
        [each for each in program(workload(each, TOPOLOGY)) if isinstance(each, Send)]
        for each in (spec.model_copy(update={"distillation": None}), spec)
    )
    tokens = 1024 / 4
    assert {each.size_bytes for each in alone} == {tokens * 4096 * 2}
    assert {each.size_bytes for each in both} == {tokens * (4096 + 5120) * 2}
    last = [each for each in program(workload(spec, TOPOLOGY), stage=1) if isinstance(each, Send)]
    assert {each.size_bytes for each in last} == {tokens * 4096 * 2}


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("llama-3-8b", "llama-3-8b has 128256 words, llama-2-7b has 32000"),
        ("resnet50", "modelled for transformers"),
        ("lama-2-13b", "llama-2-13b"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused_at_its_place(teacher, said):
    with pytest.raises(InputError, match=rf"distillation\.teacher: .*{said}"):
        workload(taught(distillation={"teacher": teacher}), TOPOLOGY)
