"""A prediction is one iteration of a run, without what only reports need."""

from __future__ import annotations

import pytest
from training_jobs import cluster, job, run

from clustersim.workloads.training.predict import predict


@pytest.mark.parametrize(
    "parallelism",
    [{}, {"tensor": 4, "pipeline": 2, "zero": 1}, {"zero": 3}, {"tensor": 2, "context": 2}],
)
def test_a_prediction_is_an_iteration_of_a_run(parallelism):
    topology = cluster()
    spec = job(parallelism=parallelism, global_batch=128)
    predicted = predict(spec, topology)
    metrics = run(spec, topology)[0].outcome().metrics
    assert predicted.metrics == pytest.approx(metrics, rel=1e-9, abs=1e-12)
    assert predicted.iteration_s == pytest.approx(metrics["iteration_s.mean"], rel=1e-12)
    assert predicted.memory_bytes == metrics["memory_bytes"]
    assert sum(predicted.attribution.values()) == pytest.approx(1.0)


def test_a_prediction_leaves_jitter_and_stragglers_out():
    topology = cluster()
    varied = job(kernel_jitter=0.3, stragglers=[{"gpu": 1, "slowdown": 3.0}])
    assert predict(varied, topology).metrics == predict(job(), topology).metrics


def test_a_prediction_can_be_made_of_a_job_with_a_duration():
    topology = cluster()
    assert predict(job(duration="1 h"), topology).metrics == predict(job(), topology).metrics
