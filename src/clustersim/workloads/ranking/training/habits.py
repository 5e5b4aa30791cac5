"""How a framework goes about a step, with what the scenario says otherwise put in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from clustersim.catalog.ranking_frameworks import RankingFramework

if TYPE_CHECKING:
    from clustersim.catalog.accelerators import Accelerator
    from clustersim.spec.ranking.training import RankingTrainingSpec

__all__ = ["Habits"]

_RUN_AHEAD = 2
"""Steps that the host is ahead of the GPU, at the most; assumed. Where it waits in each step, this does not
matter."""


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What the host takes for what, and what runs beside what.

    Parameters
    ----------
    step_s
        Of the host in each step beside launches.
    kernel_launch_s, exchange_s, table_s
        Of the host for each kernel, for each collective, for each table of the rank and direction.
    graph_launch_s
        Of the host for the kernels of one stage of the dense part that are replayed as a graph; None where
        each is launched by itself.
    input_ahead, prefetch
        Steps before its own in which a batch is copied to the GPU, and before that read.
    index_ahead
        Indices of the next batch are exchanged beside this one.
    host_waits
        The host waits in each step for something that the GPU works out.
    waits_at_end
        The host waits for the end of each step.
    forward_exchange, backward_exchange, all_reduce
        What travels beside kernels of the dense part.
    bucket_bytes
        Gradients are summed in buckets of at least this size.
    one_stream
        All collectives of a rank follow each other.
    bottom_first
        The bottom MLP runs on rank 0 alone, for the samples of all; its results travel with the embeddings.
    run_ahead
        Steps that the host is ahead of the GPU, at the most.
    """

    step_s: float = 0.0
    kernel_launch_s: float = 0.0
    graph_launch_s: float | None = None
    exchange_s: float = 0.0
    table_s: float = 0.0
    input_ahead: int = 2
    prefetch: int = 2
    index_ahead: bool = True
    host_waits: bool = False
    waits_at_end: bool = False
    forward_exchange: bool = True
    backward_exchange: bool = True
    all_reduce: bool = True
    bucket_bytes: float = 0.0
    one_stream: bool = False
    bottom_first: bool = False
    run_ahead: int = _RUN_AHEAD

    @classmethod
    def of(cls, spec: RankingTrainingSpec, framework: RankingFramework, accelerator: Accelerator) -> Self:
        """Put together what a scenario says and what its framework does where it says nothing."""
        usual = framework.on_host(accelerator.kernel_launch_s)
        host, overlap, faster = spec.host, spec.overlap, accelerator.speed.host
        batch = spec.samples_per_step / spec.gpus

        def given(seconds: float | None, otherwise: float) -> float:
            return otherwise if seconds is None else seconds / faster

        graphs = usual.cuda_graphs if host.cuda_graphs is None else host.cuda_graphs
        index = overlap.index_exchange or usual.index_exchange
        ahead = usual.input_ahead if overlap.input_ahead is None else overlap.input_ahead
        return cls(
            step_s=given(host.step, usual.step_s + usual.sample_s * batch),
            kernel_launch_s=given(host.kernel_launch, usual.kernel_launch_s),
            graph_launch_s=usual.graph_launch_s if graphs else None,
            exchange_s=given(host.exchange, usual.exchange_s),
            table_s=usual.table_s,
            input_ahead=max(ahead, 1) if index == "ahead" else ahead,
            prefetch=spec.input.prefetch,
            index_ahead=index == "ahead",
            host_waits=usual.host_waits,
            waits_at_end=usual.waits_at_end,
            forward_exchange=_either(overlap.forward_exchange, usual.forward_exchange),
            backward_exchange=_either(overlap.backward_exchange, usual.backward_exchange),
            all_reduce=_either(overlap.all_reduce, usual.all_reduce),
            bucket_bytes=_first(overlap.gradient_bucket, usual.gradient_bucket_bytes),
            one_stream=usual.one_stream,
            bottom_first=usual.bottom_mlp == "first-rank" and spec.gpus > 1,
        )


def _either(said: bool | None, usual: bool) -> bool:
    return usual if said is None else said


def _first(said: float | None, usual: float) -> float:
    return usual if said is None else said
