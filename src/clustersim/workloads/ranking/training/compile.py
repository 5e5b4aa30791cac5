"""A step's work, and what the framework runs beside what, turned into a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from clustersim.engine.trace import HOST, STORAGE
from clustersim.workloads.ranking.training.habits import Habits
from clustersim.workloads.ranking.training.program import (
    COMPUTE_STREAM,
    Collective,
    HostMove,
    Kernels,
    Part,
    Program,
    Task,
)
from clustersim.workloads.ranking.training.work import StepWork

__all__ = ["compile_step"]

_SIZES_BYTES = 8.0
"""From rank to rank before indices travel: how many will come; an int64."""


def compile_step(work: StepWork, habits: Habits) -> Program:
    """Return the program of a step.

    *Order of launches.* The loop; batches that are read, transformed and copied ahead; sizes of the next
    batch's indices; forward pass (look-up and exchange first where they travel beside the bottom MLP); the
    indices themselves; backward pass, with sums of gradients as their buckets fill; dense optimizer.

    **Source:** TorchRec, distributed/train_pipeline/train_pipelines.py (TrainPipelineSparseDist.progress);
    Mudigere et al., "Software-hardware co-design for fast and scalable training of deep learning
    recommendation models", arXiv:2104.05158, section 4.
    **Checked by:** tests/workloads/ranking/test_ranking_training_program.py.
    """
    return Program(tuple(_Writer(work, habits).tasks()), work.ranks, run_ahead=habits.run_ahead)


class _Writer:
    """Writes the tasks of a step in the order in which the host launches them."""

    def __init__(self, work: StepWork, habits: Habits) -> None:
        self._work = work
        self._habits = habits
        self._pending_bytes = 0.0
        self._sums: list[str] = []
        self._last_stage = ""
        self._input: tuple[str, ...] = ()
        self._arrived: tuple[str, ...] = ()

    def tasks(self) -> Iterator[Task]:
        """Yield them all."""
        yield from self._samples()
        ahead = self._habits.index_ahead
        yield from self._sizes()
        if not ahead:
            yield from self._indices()
        yield from self._forward()
        if ahead:
            yield from self._indices()
        yield from self._backward()
        last = self._kernels("optimizer", "optimizer", self._work.optimizer, after=tuple(self._sums))
        yield replace(last, host_waits=self._habits.waits_at_end)

    # ---- samples and their indices

    def _samples(self) -> Iterator[Task]:
        work, habits = self._work, self._habits
        nothing = np.zeros(work.ranks)
        yield self._task("loop", "host", "host", Kernels(nothing, {}, 0), launch_s=habits.step_s)
        ahead = habits.input_ahead
        for key, stream, seconds, resource in (
            ("read", "storage", work.read_s, STORAGE),
            ("prepare", "processors", work.prepare_s, HOST),
        ):
            if seconds is not None:
                alone = Kernels(seconds, {resource: seconds}, 0)
                yield self._task(
                    key, stream, "input", alone, ahead=ahead + habits.prefetch, after=self._input
                )
                self._input = (key,)
        if work.copy_bytes:
            copy = HostMove(np.full(work.ranks, work.copy_bytes))
            launch_s = habits.kernel_launch_s
            yield self._task("copy", "copy", "input", copy, launch_s=launch_s, ahead=ahead, after=self._input)
            self._input = ("copy",)

    def _sizes(self) -> Iterator[Task]:
        """Yield the exchange of sizes, if the host needs them to launch that of indices."""
        if self._work.index_bytes is not None and self._work.exchanges and self._habits.host_waits:
            what = np.where(self._work.index_bytes > 0.0, _SIZES_BYTES, 0.0)
            ahead = int(self._habits.index_ahead)
            yield self._exchange("sizes", "index", what, after=self._input, ahead=ahead, host_waits=True)

    def _indices(self) -> Iterator[Task]:
        if self._work.index_bytes is not None and self._work.exchanges:
            after = ("sizes",) if self._habits.host_waits else self._input
            ahead = int(self._habits.index_ahead)
            yield self._exchange("index", "index", self._work.index_bytes, after=after, ahead=ahead)

    # ---- forward and backward pass

    def _forward(self) -> Iterator[Task]:
        habits = self._habits
        bottom = self._dense("bottom", "forward", after=self._input)
        if habits.bottom_first or not habits.forward_exchange:
            yield bottom
            yield from self._pooled()
        else:
            yield from self._pooled()
            yield bottom
        yield self._dense("interaction", "forward", after=self._arrived)
        yield self._dense("top", "forward")

    def _pooled(self) -> Iterator[Task]:
        """Yield look-ups, and the way of what they pool to its samples."""
        work, after = self._work, ("index",) if self._work.exchanges else self._input
        if work.lookup_host_bytes is not None:
            yield self._host_rows("host rows", HostMove(work.lookup_host_bytes), after=after)
            after = (*after, "host rows")
        yield self._kernels("lookup", "embedding", work.lookup, after=after, tables=True)
        sent = ("lookup", "forward bottom") if self._habits.bottom_first else ("lookup",)
        yield from self._exchanges("pooled forward", "forward", work.forward_bytes, after=sent)

    def _exchanges(
        self, key: str, part: Part, matrices: Sequence[np.ndarray], *, after: tuple[str, ...]
    ) -> Iterator[Task]:
        """Yield exchanges one after the other; what is after the last waits for `_arrived`."""
        for number, matrix in enumerate(matrices if self._work.exchanges else ()):
            name = f"{key} {number + 1}" if len(matrices) > 1 else key
            yield self._exchange(name, part, matrix, after=after)
            after = (name,)
        self._arrived = after

    def _backward(self) -> Iterator[Task]:
        beside = self._habits.backward_exchange
        for stage in ("top", "interaction"):
            yield from self._stage_backward(stage)
        matrices, before = self._work.backward_bytes, ("backward interaction",)
        yield from self._exchanges("pooled backward", "backward", matrices, after=before)
        if beside:
            yield from self._bottom_backward()
        yield from self._update()
        if not beside:
            yield from self._bottom_backward()
        if self._pending_bytes:
            yield self._sum(after=self._last_stage)
        yield from self._gradients("tables", after="update")
        if self._pending_bytes:
            yield self._sum(after="update")

    def _bottom_backward(self) -> Iterator[Task]:
        return self._stage_backward("bottom", after=self._arrived if self._habits.bottom_first else ())

    def _stage_backward(self, stage: str, *, after: tuple[str, ...] = ()) -> Iterator[Task]:
        waits = stage == "bottom" and self._habits.host_waits and not self._work.exchanges
        yield replace(self._dense(stage, "backward", after=after), host_waits=waits)
        yield from self._gradients(stage, after=f"backward {stage}")

    def _update(self) -> Iterator[Task]:
        yield self._kernels("update", "embedding", self._work.update, after=self._arrived, tables=True)
        if self._work.update_host_bytes is not None:
            back = HostMove(self._work.update_host_bytes, back=True)
            yield self._host_rows("host rows back", back, after=("update",))

    def _gradients(self, stage: str, *, after: str) -> Iterator[Task]:
        """Yield the sum of gradients over ranks when a bucket is full."""
        size_bytes = self._work.gradient_bytes.get(stage, 0.0)
        if not size_bytes or self._work.ranks == 1:
            return
        self._pending_bytes += size_bytes
        self._last_stage = after
        if self._habits.all_reduce and self._pending_bytes >= self._habits.bucket_bytes:
            yield self._sum(after=after)

    def _sum(self, *, after: str) -> Task:
        key = f"all-reduce {len(self._sums)}"
        what = Collective("all_reduce", self._pending_bytes)
        self._sums.append(key)
        self._pending_bytes = 0.0
        stream = self._stream("all-reduce")
        return self._task(key, stream, "all_reduce", what, launch_s=self._habits.exchange_s, after=(after,))

    # ---- tasks

    def _dense(self, stage: str, way: Literal["forward", "backward"], *, after: tuple[str, ...] = ()) -> Task:
        kernels = (self._work.forward if way == "forward" else self._work.backward)[stage]
        if self._habits.graph_launch_s is None:
            return self._kernels(f"{way} {stage}", "dense", kernels, after=after)
        graph, launch_s = replace(kernels, count=1.0), self._habits.graph_launch_s
        return self._task(f"{way} {stage}", COMPUTE_STREAM, "dense", graph, launch_s=launch_s, after=after)

    def _kernels(
        self, key: str, part: Part, kernels: Kernels, *, after: tuple[str, ...] = (), tables: bool = False
    ) -> Task:
        launch_s: np.ndarray | float = kernels.count * self._habits.kernel_launch_s
        if tables:
            launch_s = launch_s + self._work.local_tables * self._habits.table_s
        return self._task(key, COMPUTE_STREAM, part, kernels, launch_s=launch_s, after=after)

    def _exchange(
        self,
        key: str,
        part: Part,
        matrix: np.ndarray,
        *,
        after: tuple[str, ...],
        ahead: int = 0,
        host_waits: bool = False,
    ) -> Task:
        stream, launch_s = self._stream("index" if part == "index" else "exchange"), self._habits.exchange_s
        what = Collective("all_to_all_v", matrix)
        task = self._task(key, stream, part, what, launch_s=launch_s, ahead=ahead, after=after)
        return replace(task, host_waits=host_waits)

    def _host_rows(self, key: str, what: HostMove, *, after: tuple[str, ...]) -> Task:
        launch_s = self._habits.kernel_launch_s
        return self._task(key, "host rows", "host_rows", what, launch_s=launch_s, after=after)

    def _stream(self, name: str) -> str:
        return "collectives" if self._habits.one_stream else name

    def _task(
        self,
        key: str,
        stream: str,
        part: Part,
        work: Kernels | Collective | HostMove,
        *,
        launch_s: np.ndarray | float = 0.0,
        ahead: int = 0,
        after: tuple[str, ...] = (),
    ) -> Task:
        by_rank = np.zeros(self._work.ranks) + launch_s
        return Task(key=key, stream=stream, part=part, work=work, launch_s=by_rank, ahead=ahead, after=after)
