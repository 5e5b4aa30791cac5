"""Workers that exchange what they have learned once in a while."""

from __future__ import annotations

import numpy as np
import pytest
from training_jobs import cluster, job, program, run, workload

from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.engine.world import World
from clustersim.errors import InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import Topology, build
from clustersim.workloads.training.program import Compute, Launch


def sites(bandwidth: str = "10 Gbit/s", latency: str = "5 ms") -> Topology:
    """Return two sites of one DGX A100 each."""
    site = {"kind": "star", "nodes": 1, "node": "dgx-a100"}
    between = {"between": ["a", "b"], "bandwidth": bandwidth, "latency": latency}
    spec = {"kind": "sites", "sites": [{"name": name, "topology": site} for name in "ab"], "links": [between]}
    return build(ClusterSpec.model_validate({"topology": spec}), base=None)


def local(**fields):
    steps = {"every": 3, "workers": 2} | fields.pop("local_steps", {})
    return job(**({"gpus": 16, "local_steps": steps, "steps": 6} | fields))


def durations(spec, topology: Topology, *, undisturbed: bool = False) -> np.ndarray:
    return run(spec, topology, undisturbed=undisturbed)[0].outcome().tables["iterations"]["duration_s"]


ORDER = ["tensor", "context", "pipeline", "data"]
"""Stages of a replica follow each other, so that each site has whole replicas."""

LAYOUTS = [{}, {"zero": 1}, {"zero": 3}, {"tensor": 2, "pipeline": 2, "order": ORDER}]


@pytest.mark.parametrize("parallelism", LAYOUTS)
def test_between_exchanges_nothing_goes_from_site_to_site(parallelism):
    spec = local(parallelism=parallelism, steps=2)
    near, far = (durations(spec, sites(bandwidth)) for bandwidth in ("400 Gbit/s", "1 Mbit/s"))
    assert near == pytest.approx(far, rel=1e-9)


@pytest.mark.parametrize("parallelism", LAYOUTS[:3])
@pytest.mark.parametrize(("precision", "element"), [("fp32", 4), ("bf16", 2), ("int8", 1)])
def test_an_exchange_takes_an_all_reduce_of_one_part_and_the_outer_update(parallelism, precision, element):
    topology = sites()
    spec = local(parallelism=parallelism, local_steps={"precision": precision})
    training, _ = run(spec, topology)
    found = training.outcome().tables["iterations"]["duration_s"]
    layout, outer = training.job.layout, training.job.stages[0].outer
    groups = layout.groups("replica_shard", 0)
    assert {len(group) for group in groups} == {2}
    parameters = training.job.model.parameters
    across = LockstepCommunicator(World(topology), groups, owner="probe")
    more_s = across.alone_s("all_reduce", element * parameters / 8) + outer.update.seconds
    if not layout.zero:
        within = LockstepCommunicator(World(topology), layout.groups("shard", 0), owner="probe")
        more_s += within.alone_s("all_gather", parameters * training.job.replication.parameter_bytes)
    assert found[2] - found[1] == pytest.approx(more_s, rel=1e-6)
    assert outer.update.seconds < 0.01 * more_s


@pytest.mark.parametrize("every", [1, 2, 6])
def test_an_exchange_is_shared_by_the_steps_before_it(every):
    found = durations(local(local_steps={"every": every}), sites())
    assert [bool(value) for value in found > 2 * found.min()] == [
        every != 1 and (step + 1) % every == 0 for step in range(6)
    ]


def test_a_worker_of_one_replica_sums_no_gradients():
    training = workload(local(local_steps={"workers": None}), sites())
    said = [each for each in program(training) if isinstance(each, Launch) and each.dimension != "model"]
    assert [each.key for each in said] == ["outer.replica_shard"]
    assert said[0].size_bytes == 4 * training.job.model.parameters


def test_counted_steps_are_those_simulated_one_by_one():
    spec = local(steps=9)
    counted, simulated = (
        durations(spec.model_copy(update={"repeat": repeat}), sites(), undisturbed=True)
        for repeat in ("auto", "never")
    )
    assert counted == pytest.approx(simulated, rel=1e-9)


def test_outer_states_take_eight_bytes_for_each_parameter_that_a_rank_looks_after():
    topology = sites()
    plain, sparse = (workload(spec, topology).job for spec in (job(gpus=16), local()))
    more_bytes = sparse.memory[0].optimizer_states - plain.memory[0].optimizer_states
    assert more_bytes == pytest.approx(8.0 * plain.model.parameters / 8)


def test_the_outer_update_comes_after_the_inner_one():
    kinds = [each for each in program(workload(local(), sites())) if not isinstance(each, Compute)]
    last = [each for each in program(workload(local(), sites())) if isinstance(each, Compute)][-2:]
    assert [each.kind for each in last] == ["optimizer", "optimizer"]
    assert kinds[-1].key == "outer.shard"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"local_steps": {"workers": 3}}, r"3 do not divide the 16 replicas; .* 2 or 4"),
        ({"parallelism": {"tensor": 16}, "local_steps": {"workers": None}}, "nobody to exchange with"),
        ({"parallelism": {"zero": 1, "shard": 4}}, "of 8 replicas each; 'parallelism.shard' says 4"),
    ],
)
def test_workers_that_do_not_fit_the_layout_are_refused(fields, said):
    with pytest.raises(InputError, match=said):
        workload(local(**fields), sites())


def test_one_cluster_can_take_sparse_steps_too():
    topology = cluster(nodes=2)
    found = durations(local(gpus=8, parallelism={"zero": 2}), topology)
    assert found[2] > found[1]
