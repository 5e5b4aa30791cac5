"""Every precision and optimizer runs, in the order of its speed, with the memory of its states."""

from __future__ import annotations

import pytest
from training_jobs import cluster, job, run, workload

TOPOLOGY = cluster(nodes=1, node="dgx-h100")


def test_narrower_arithmetic_is_faster_where_products_take_the_time():
    passes_s = []
    for precision in ("fp32", "tf32", "bf16", "fp8"):
        spec = job(
            model="llama-2-7b", sequence=2048, micro_batch=1, precision=precision, parallelism={"zero": 1}
        )
        metrics = run(spec.model_copy(update={"recompute": "full"}), TOPOLOGY)[0].outcome().metrics
        passes_s.append(metrics["forward_s"] + metrics["backward_s"])
    assert passes_s == sorted(passes_s, reverse=True)
    assert passes_s[0] > 3 * passes_s[-1]


def test_fp16_takes_as_long_as_bf16():
    taken = [
        run(job(precision=each, gradients="half"), TOPOLOGY)[0].outcome().metrics for each in ("fp16", "bf16")
    ]
    assert taken[0]["forward_s"] == pytest.approx(taken[1]["forward_s"], rel=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "bytes_each"),
    [("adam", 8.0), ("lamb", 8.0), ("adam-8bit", 2.0), ("sgd", 4.0), ("adafactor", 0.0)],
)
def test_states_take_the_bytes_of_the_optimizer(optimizer, bytes_each):
    training = workload(job(optimizer=optimizer), TOPOLOGY).job
    found = training.memory[0].optimizer_states / training.model.parameters
    assert found == pytest.approx(bytes_each, abs=0.05)
