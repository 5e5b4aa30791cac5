"""What the groups of a large training job cost to plan side by side, and what a call costs then.

    python benchmarks/lockstep.py [--nodes 2048] [--stages 16]

Tensor-parallel groups of a node each, data-parallel rings across the nodes of a pipeline stage, and
what stages send each other, each as one `LockstepCommunicator` per stage, on a rail-optimised
cluster of DGX H100. CPU seconds: the best stage, the mean, and the least of some calls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy

from clustersim.collectives import LockstepCommunicator
from clustersim.engine.world import World
from collective_cases import cluster

_CALLS = 500
_PER_NODE = 8
_SIZE_BYTES = 1e8

Groups = Sequence[Sequence[str]]


def tensor(gpus: Sequence[str], _: Sequence[str]) -> Groups:
    """One group per node."""
    return [gpus[first : first + _PER_NODE] for first in range(0, len(gpus), _PER_NODE)]


def data(gpus: Sequence[str], _: Sequence[str]) -> Groups:
    """The k-th GPUs of all nodes of a stage."""
    return [gpus[place::_PER_NODE] for place in range(_PER_NODE)]


def sends(gpus: Sequence[str], following: Sequence[str]) -> Groups:
    """Each GPU of a stage, and that at its place in the next."""
    return list(zip(gpus, following, strict=True))


KINDS: dict[str, tuple[Callable[[Sequence[str], Sequence[str]], Groups], tuple[str, ...]]] = {
    "tensor": (tensor, ("reduce_scatter", "all_gather")),
    "data": (data, ("reduce_scatter", "all_gather")),
    "sends": (sends, ("send_recv:0:1",)),
}


def planned(world: World, groups: Groups, name: str, kinds: Sequence[str]) -> LockstepCommunicator:
    """Make a communicator and plan its kinds of collectives."""
    communicator = LockstepCommunicator(world, groups, owner=name)
    for kind in kinds:
        communicator.alone_s(kind, _SIZE_BYTES)
    return communicator


def call_s(communicator: LockstepCommunicator, kind: str) -> float:
    """CPU seconds of one call, the least of three rounds."""
    env = communicator.world.env

    def calls() -> Generator[simpy.Event, Any, None]:
        for _ in range(_CALLS):
            yield communicator.send(_SIZE_BYTES) if ":" in kind else getattr(communicator, kind)(_SIZE_BYTES)

    least_s = float("inf")
    for _ in range(3):
        started = time.process_time()
        env.run(until=env.process(calls()))
        least_s = min(least_s, (time.process_time() - started) / _CALLS)
    return least_s


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=2048)
    parser.add_argument("--stages", type=int, default=16)
    chosen = parser.parse_args()
    topology = cluster("rail-optimized", chosen.nodes, "dgx-h100", link="infiniband-ndr")
    world = World(topology, keep_trace=False)
    each = len(topology.gpus) // chosen.stages
    stages = [topology.gpus[first : first + each] for first in range(0, each * chosen.stages, each)]
    print(f"{'what':<8}{'groups':>8}{'ranks':>7}{'best ms':>9}{'mean ms':>9}{'us a call':>11}")
    for name, (groups_of, kinds) in KINDS.items():
        took_s = []
        for stage, following in zip(stages, [*stages[1:], stages[0]], strict=True):
            groups = groups_of(stage, following)
            started = time.process_time()
            communicator = planned(world, groups, name, kinds)
            took_s.append(time.process_time() - started)
        best_ms, mean_ms = 1e3 * min(took_s), 1e3 * sum(took_s) / len(took_s)
        call_us = 1e6 * call_s(communicator, kinds[0])
        shape = f"{len(groups):>8}{len(groups[0]):>7}"
        print(f"{name:<8}{shape}{best_ms:>9.0f}{mean_ms:>9.0f}{call_us:>11.1f}", flush=True)


if __name__ == "__main__":
    main()
