"""Replicas that are alike are simulated once, with the same answer; others are not."""

from __future__ import annotations

import numpy as np
import pytest
from training_jobs import cluster, job, run

from clustersim.engine.world import World
from clustersim.results.attribution import by_class
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import Topology, build
from clustersim.workloads.training import TrainingWorkload


def two_tiers(**fabric) -> Topology:
    """Four leaves of two nodes each, under two spines."""
    topology = {
        "kind": "leaf-spine",
        "nodes": 8,
        "nodes_per_leaf": 2,
        "spines": 2,
        "node": "a100-40gb-x4",
        "oversubscription": fabric.pop("oversubscription", 1.0),
    }
    return build(ClusterSpec.model_validate({"topology": topology, "fabric": fabric}), base=None)


LAYOUTS = [
    {},
    {"zero": 1},
    {"pipeline": 4},
    {"tensor": 2, "pipeline": 2},
    {"tensor": 2, "pipeline": 2, "zero": 1},
    {"pipeline": 2, "virtual_stages": 2},
    {"zero": 3, "shard": 4},
]


@pytest.mark.parametrize("parallelism", LAYOUTS)
def test_folded_is_unfolded(parallelism):
    topology = cluster(nodes=4)
    fields = {"gpus": 16, "parallelism": parallelism, "global_batch": 512, "steps": 2}
    (folded, world), (each, other) = (run(job(fold=fold, **fields), topology) for fold in ("auto", "never"))
    assert len(folded._crew.lanes) < len(each._crew.lanes)
    assert folded.outcome().metrics == pytest.approx(each.outcome().metrics, rel=1e-9, abs=1e-12)
    why, whose = (by_class(training.outcome().attribution) for training in (folded, each))
    assert why == pytest.approx(whose, rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(world.fabric.usage().bytes, other.fabric.usage().bytes, rtol=1e-6, atol=10)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kernel_jitter": 0.1}, "kernel_jitter"),
        ({"gpu_spread": 0.02}, "gpu_spread"),
        ({"stragglers": [{"gpu": 0, "slowdown": 2.0}]}, "stragglers"),
        ({"parallelism": {"pipeline": 2, "mapping": (0, 1, 2, 4, 3, 5, 6, 7)}}, "connected in another way"),
    ],
)
def test_replicas_that_differ_are_unfolded_and_the_outcome_says_why(fields, why):
    training, _ = run(job(**fields), cluster())
    (note,) = training.outcome().notes
    assert why in note
    assert run(job(fold="never", **fields), cluster())[0].outcome().metrics == training.outcome().metrics


def test_replicas_that_may_meet_on_a_link_are_unfolded():
    fields = {"gpus": 32, "parallelism": {"pipeline": 4}, "global_batch": 256, "steps": 1}
    assert not notes(two_tiers(routing="spray"), **fields)
    (note,) = notes(two_tiers(routing="spray", oversubscription=4.0), **fields)
    assert "get in each other's way on" in note
    (note,) = notes(two_tiers(routing="ecmp"), **fields)
    assert "leaf" in note


def notes(topology: Topology, **fields) -> tuple[str, ...]:
    training = TrainingWorkload(job(**fields), topology=topology, gpus=topology.gpus[: fields["gpus"]])
    training.start(World(topology))
    return training.outcome().notes


def test_folded_is_unfolded_under_two_tiers_of_switches():
    fields = {"gpus": 32, "parallelism": {"pipeline": 4}, "global_batch": 256, "steps": 1}
    topology = two_tiers(routing="spray")
    folded, each = (run(job(fold=fold, **fields), topology)[0] for fold in ("auto", "never"))
    assert len(folded._crew.lanes) < len(each._crew.lanes)
    assert folded.outcome().metrics == pytest.approx(each.outcome().metrics, rel=1e-9, abs=1e-12)


def test_a_link_that_changes_unfolds():
    world = World(cluster())
    world.links_change = True
    training = TrainingWorkload(job(), topology=world.topology, gpus=world.topology.gpus)
    training.start(world)
    (note,) = training.outcome().notes
    assert "links change" in note
