"""GPUs, memory and nodes keep simpy's protocol and record what ran."""

from __future__ import annotations

import pytest
import simpy

from clustersim.engine.devices import Gpu, Memory, Node
from clustersim.engine.trace import COMPUTE, NO_CAUSE, Trace
from clustersim.errors import CannotRunError


def test_kernels_on_one_gpu_run_one_after_the_other() -> None:
    env, trace = simpy.Environment(), Trace()
    gpu = Gpu(env, "node0/gpu0", 1e9)
    kernels = [
        gpu.compute(2.0, trace=trace, lane="job/compute", label=f"k{i}", shares={COMPUTE: 2.0})
        for i in range(3)
    ]
    env.run(env.all_of(kernels))
    assert [(row.start_s, row.end_s) for row in trace.rows] == [(0, 2), (2, 4), (4, 6)]
    assert [kernel.value for kernel in kernels] == [0, 1, 2]


def test_a_user_process_can_hold_a_gpu_with_simpys_own_request() -> None:
    env = simpy.Environment()
    gpu = Gpu(env, "node0/gpu0", 1e9)
    order: list[tuple[str, float]] = []

    def holds(name: str, seconds: float):
        with gpu.request() as turn:
            yield turn
            yield env.timeout(seconds)
        order.append((name, env.now))

    env.process(holds("first", 3.0))
    env.process(holds("second", 1.0))
    env.run()
    assert order == [("first", 3.0), ("second", 4.0)]


def test_memory_that_is_not_free_is_waited_for() -> None:
    env = simpy.Environment()
    memory = Memory(env, 100)
    memory.reserve(80, who="weights")

    def frees():
        yield env.timeout(5)
        yield memory.put(80)

    env.process(frees())
    taken = memory.get(50)
    env.run(taken)
    assert env.now == 5
    assert memory.free_bytes == 50


def test_reserving_more_than_is_free_is_refused_with_both_numbers() -> None:
    memory = Memory(simpy.Environment(), 2**30)
    with pytest.raises(CannotRunError, match=r"job needs 2 GiB of GPU memory, 1 GiB are free"):
        memory.reserve(2**31, who="job")


def test_a_trace_that_keeps_nothing_gives_no_cause() -> None:
    trace = Trace(keep=False)
    assert trace.record("compute", "a/b", "k", 0.0, 1.0, shares={COMPUTE: 1.0}) == NO_CAUSE
    assert len(trace) == 0


def test_a_node_is_a_resource_of_host_cores() -> None:
    env = simpy.Environment()
    node = Node(env, "node0", [Gpu(env, "node0/gpu0", 1.0)], host_cores=2)
    requests = [node.request() for _ in range(3)]
    env.run()
    assert [request.triggered for request in requests] == [True, True, False]
