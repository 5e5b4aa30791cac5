"""The GPU waits for its host where launches take longer than kernels, and collectives hide launches too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_jobs import cluster, job, run

from clustersim.cost.roofline import KernelTime
from clustersim.cost.training.shard import Message
from clustersim.spec.training import OverlapSpec
from clustersim.workloads.training.closed_form import Alone, never_alone
from clustersim.workloads.training.launch_queue import LaunchQueue
from clustersim.workloads.training.pass_writer import PassWriter
from clustersim.workloads.training.program import Compute

ONE_NODE = cluster(nodes=1)
_SECONDS = st.floats(0.0, 1.0)


def writer(alone_s: float | None = None) -> PassWriter:
    def alone(dimension: str, collective: str, size_bytes: float, *, quiet: bool) -> Alone | None:
        return None if alone_s is None else Alone(alone_s, {"network": alone_s})

    alone_of = never_alone if alone_s is None else alone
    return PassWriter("forward", 0, alone_of=alone_of, overlap=OverlapSpec(), quiet=True)


def launch_s(pass_writer: PassWriter) -> float:
    return sum(each.host_s for each in pass_writer.finish() if isinstance(each, Compute))


@given(st.lists(st.tuples(_SECONDS, _SECONDS), max_size=6))
def test_between_two_waits_the_longer_of_host_and_device_counts(stretch: list[tuple[float, float]]) -> None:
    queue = LaunchQueue()
    for host_s, device_s in stretch:
        queue.launch(host_s, device_s=device_s)
    host_s, device_s = (sum(each) for each in zip(*stretch, strict=True)) if stretch else (0.0, 0.0)
    assert device_s + queue.drain() == pytest.approx(max(host_s, device_s))
    assert queue.drain() == 0.0


def test_a_host_that_waits_cannot_make_up_for_it_later() -> None:
    ahead, waiting = writer(), writer()
    for each in (ahead, waiting):
        each.kernels(KernelTime(compute_s=1.0), host_s=3.0)
        if each is waiting:
            each.wait(0.5)
        each.kernels(KernelTime(compute_s=4.0), host_s=1.0)
    assert launch_s(ahead) == 0.0
    assert launch_s(waiting) == pytest.approx(2.0 + 0.5)


def test_the_host_launches_beside_collectives() -> None:
    found = []
    for alone_s in (0.0, 0.4, 5.0):
        each = writer(alone_s)
        each.kernels(KernelTime(compute_s=1.0), [Message("expert", "all_to_all", 1e6)], host_s=2.0)
        found.append(launch_s(each))
    assert found == pytest.approx([1.0, 0.6, 0.0])


def test_a_blocking_host_adds_to_every_kernel_and_hides_nothing() -> None:
    each = writer(1.0)
    message = Message("tensor", "all_reduce", 1e6, hideable_s=1.0, asynchronous_s=1.0)
    each.kernels(KernelTime(compute_s=3.0), [message], host_s=2.0, blocking=True)
    (compute,) = each.finish()
    assert isinstance(compute, Compute)
    assert compute.seconds == pytest.approx(3.0 + 2.0 + 1.0)


def test_small_micro_batches_wait_for_the_host_and_large_ones_do_not() -> None:
    host_s = [
        run(job(micro_batch=size, gpus=1, repeat="never"), ONE_NODE)[0].outcome().metrics["host_s"]
        for size in (1, 64)
    ]
    assert host_s[0] > 0.0
    assert host_s[1] == 0.0


def test_launches_that_take_longer_take_longer_in_all() -> None:
    seconds = [
        run(job(micro_batch=1, gpus=1, host={"kernel_launch": f"{launch} us"}), ONE_NODE)[0]
        .outcome()
        .metrics["iteration_s.mean"]
        for launch in (1, 20, 40)
    ]
    assert seconds == sorted(seconds)
    assert seconds[2] > 1.5 * seconds[1]
