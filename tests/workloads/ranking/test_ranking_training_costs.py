"""What a step takes on each rank follows from the model, the plan and the framework."""

from __future__ import annotations

import numpy as np
import pytest
from ranking_jobs import cluster, job, workload

from clustersim.cost.ranking.dense import dense_backward, dense_forward
from clustersim.cost.roofline import SustainedRoofline


def made(**fields):
    return workload(job(**fields), cluster()).job


def test_kernels_of_the_dense_part_are_those_of_the_model_on_every_rank():
    found = made(framework="hugectr", sharding={"plan": "table-wise"})
    roofline = SustainedRoofline(found.accelerator)
    options = {"batch": 2048.0, "precision": "tf32", "fused": True}
    forward, backward = dense_forward(found.model, **options), dense_backward(found.model, **options)
    for stage in ("top", "bottom"):
        for passed, kernels in ((forward, found.work.forward), (backward, found.work.backward)):
            seconds = roofline.stream(getattr(passed, stage)).seconds
            np.testing.assert_allclose(kernels[stage].seconds, seconds, rtol=1e-9)


def test_every_second_of_a_kernel_belongs_to_a_resource():
    found = made()
    for kernels in found.cost.kernels.values():
        np.testing.assert_allclose(np.sum(list(kernels.shares.values()), axis=0), kernels.seconds)
        assert kernels.count >= 1.0


def test_gradients_that_are_summed_are_those_of_the_dense_part_and_of_replicated_tables():
    divided = made(sharding={"plan": "table-wise"})
    dense_bytes = 4.0 * divided.model.dense_parameters
    assert sum(divided.cost.gradient_bytes.values()) == pytest.approx(dense_bytes)
    half = made(sharding={"plan": "table-wise"}, exchange={"gradients": "fp16"})
    assert sum(half.cost.gradient_bytes.values()) == pytest.approx(dense_bytes / 2.0)
    copied = made(model="wide-and-deep", sharding={"plan": "data-parallel"})
    tables_bytes = 4.0 * copied.model.embedding_parameters
    assert copied.cost.gradient_bytes["tables"] == pytest.approx(tables_bytes)
    assert copied.work.index_bytes is None
    assert not any(task.part in ("index", "forward", "backward") for task in copied.program.tasks)


def test_what_travels_has_the_precision_that_was_asked_for():
    usual = made(sharding={"plan": "table-wise"})
    half = made(sharding={"plan": "table-wise"}, exchange={"forward": "fp16", "backward": "fp32", "index": 4})
    assert half.work.forward_bytes[0].sum() == pytest.approx(
        usual.work.forward_bytes[0].sum() / 2.0, rel=0.02
    )
    np.testing.assert_allclose(half.work.backward_bytes[0], 2.0 * half.work.forward_bytes[0].T)
    np.testing.assert_allclose(usual.work.backward_bytes[0], usual.work.forward_bytes[0].T)


def test_indices_of_four_bytes_are_read_and_sent_as_such_and_lengths_stay_as_they_are():
    """One look-up of each of 26 tables: 4 bytes less of each index, for all but an eighth of the ranks."""
    fields = {"model": "dlrm-criteo-1tb", "sharding": {"plan": "table-wise"}}
    long, short = (made(**fields, exchange={"index": size}) for size in (8, 4))
    lookups = 8 * 2048 * 26
    assert long.work.index_bytes.sum() == pytest.approx(7 / 8 * lookups * (8 + 4))
    assert short.work.index_bytes.sum() == pytest.approx(7 / 8 * lookups * (4 + 4))
    read = [sum(each[0].bytes_moved for each in job.cost.operators["lookup"]) for job in (long, short)]
    assert read[0] - read[1] == pytest.approx(4 * lookups)
    ordered = [sum(each[0].bytes_moved for each in job.cost.operators["update"]) for job in (long, short)]
    assert ordered[0] / ordered[1] > 1.4
    held = [job.memory.uses["samples"].sum() for job in (long, short)]
    # Two batches of received indices, and input_ahead + 1 of samples.
    assert held[0] - held[1] == pytest.approx(4 * lookups * (2 + long.habits.input_ahead + 1))


def test_a_framework_with_half_exchange_sends_16_bit_only_from_a_16_bit_dense_part():
    assert made(framework="hugectr", precision="fp16").cost.forward_precision == "fp16"
    assert made(framework="hugectr", precision="tf32").cost.forward_precision == "fp32"
    assert made(framework="torchrec", precision="fp16").cost.forward_precision == "fp32"


def test_a_bottom_mlp_on_the_first_rank_works_for_all_and_its_results_travel():
    fields = {"framework": "deeplearningexamples-dlrm", "precision": "fp16", "model": "dlrm-criteo-1tb"}
    first = made(**fields, sharding={"plan": "table-wise"})
    bottom = first.work.forward["bottom"].seconds
    assert bottom[0] > 0.0
    assert not bottom[1:].any()
    sent = first.work.forward_bytes[-1]
    alone = first.plan.forward_exchanges(first.cost.batch, "fp16")[-1]
    assert sent[0, 1] - alone[0, 1] == first.cost.batch * first.model.dense_width * 2
    assert first.cost.gradient_bytes["bottom"] == 0.0


def test_flops_and_bytes_are_sums_over_all_ranks_and_grow_with_the_batch():
    small, large = made(batch=1024), made(batch=2048)
    assert large.cost.flops == pytest.approx(2.0 * small.cost.flops, rel=0.01)
    assert (large.cost.hbm_bytes > small.cost.hbm_bytes).all()
