"""What goes over the network in place of gradients: bytes, kernels, time, memory."""

from __future__ import annotations

import pytest
from training_jobs import buckets, cluster, job, program, run, workload

from clustersim import catalog
from clustersim.collectives import Communicator
from clustersim.engine.world import World
from clustersim.spec.techniques import CompressionSpec
from clustersim.workloads.training.program import Await, Compute, Launch
from clustersim.workloads.training.techniques.compression import Compression

TOPOLOGY = cluster()
METHODS = [
    {"method": "fp16"},
    {"method": "int8"},
    {"method": "top-k", "density": 0.02},
    {"method": "powersgd", "rank": 2},
]


def sent_bytes(**compression) -> float:
    training = workload(job(gradients="fp32", compression=compression), TOPOLOGY)
    return sum(each.size_bytes for each in buckets(training) if each.dimension == "data")


def codec(**fields) -> Compression:
    return Compression(CompressionSpec(**fields), catalog.accelerator("a100-sxm4-40gb"), 4.0)


def recursion(instructions, slowdown: float) -> float:
    """Length of an iteration: one stream of collectives, kernels `slowdown` times longer beside them."""
    communicator = Communicator(World(TOPOLOGY), TOPOLOGY.gpus[:8], owner="probe")
    now = free = 0.0
    for item in instructions:
        if isinstance(item, Compute):
            beside_s = max(0.0, free - now)
            hidden_s = min(item.seconds, beside_s / slowdown)
            now += hidden_s * slowdown + item.seconds - hidden_s
        elif isinstance(item, Launch):
            free = max(free, now) + communicator.alone_s(item.collective, item.size_bytes)
        elif isinstance(item, Await):
            now = max(now, free)
    return now


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("compression", METHODS)
def test_an_iteration_is_as_long_as_a_recursion_over_codecs_and_collectives_says(compression, overlap):
    training, _ = run(job(compression=compression, overlap={"enabled": overlap}), TOPOLOGY)
    slowdown = catalog.accelerator("a100-sxm4-40gb").slowdown_beside_collective("scale_out")
    expected = recursion(program(training), slowdown)
    assert training.outcome().metrics["iteration_s.mean"] == pytest.approx(expected, rel=1e-9)


def test_fewer_bits_are_fewer_bytes():
    parameters = catalog.model("bert-large").parameters
    assert sent_bytes(method="fp16") == 2 * parameters
    assert sent_bytes(method="int8") == parameters


def test_the_largest_alone_are_gathered_with_their_places_from_every_rank():
    parameters = catalog.model("bert-large").parameters
    assert sent_bytes(method="top-k", density=0.01) == pytest.approx(8 * 8 * 0.01 * parameters)
    training = workload(job(compression={"method": "top-k"}), TOPOLOGY)
    assert {each.collective for each in buckets(training)} == {"all_gather"}


def test_factors_of_low_rank_grow_with_the_root_of_a_bucket():
    for count in (1e4, 1e6):
        first, second = codec(method="powersgd", rank=4).messages(count, ranks=8)
        assert first == second == ("all_reduce", 4 * 4 * count**0.5)
    products = codec(method="powersgd", rank=4)
    once, decoded = products.encode(1e8).compute_s, products.decode(1e8, ranks=8).compute_s
    assert once == pytest.approx(2 * decoded)


def test_codecs_move_the_bytes_that_their_equations_say():
    moved = catalog.accelerator("a100-sxm4-40gb").memory_bandwidth_bytes_per_s
    for method, encode, decode in (("fp16", 6.0, 6.0), ("int8", 9.0, 5.0)):
        found = codec(method=method)
        fraction = encode / decode
        assert found.encode(1e9).seconds / found.decode(1e9, ranks=8).seconds == pytest.approx(
            fraction, rel=0.01
        )
        assert found.encode(1e9).seconds >= encode * 1e9 / moved
    few, many = (codec(method="top-k").decode(1e9, ranks=ranks).seconds for ranks in (8, 800))
    assert many > 10 * few  # every rank adds up what all have sent


def test_top_k_loses_to_plain_gradients_once_there_are_enough_ranks():
    """What is gathered grows with the ranks, what is reduced does not."""
    for density, wins in ((0.001, True), (0.3, False)):
        plain, sparse = (
            run(job(compression=compression), TOPOLOGY)[0].outcome().metrics["iteration_s.mean"]
            for compression in (None, {"method": "top-k", "density": density})
        )
        assert (sparse < plain) == wins


@pytest.mark.parametrize(("compression", "kept"), list(zip(METHODS, (0, 0, 1, 1), strict=True)))
def test_what_is_left_is_kept_for_the_next_step(compression, kept):
    plain, packed = (workload(job(compression=each), TOPOLOGY).job.memory[0] for each in (None, compression))
    assert packed.total_bytes - plain.total_bytes == pytest.approx(kept * plain.gradients)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"parallelism": {"zero": 1}}, "set 'parallelism.zero' to 0"),
        ({"offload": {"optimizer": True}}, "together with 'offload.optimizer'"),
        ({"local_steps": {"every": 2}}, "together with 'local_steps'"),
    ],
)
def test_what_is_not_modelled_together_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        job(compression={"method": "fp16"}, **fields)


def test_one_replica_compresses_nothing():
    training = workload(job(gpus=1, compression={"method": "int8"}), TOPOLOGY)
    plain = workload(job(gpus=1), TOPOLOGY)
    assert program(training) == program(plain)
