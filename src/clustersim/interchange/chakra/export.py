"""A training job as a Chakra execution trace: one iteration, one file per rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clustersim.errors import InputError
from clustersim.interchange.chakra.rank_writer import COLLECTIVES, RankWriter
from clustersim.workloads.chakra.groups import write_groups
from clustersim.workloads.chakra.trace_files import SUFFIX, write_file
from clustersim.workloads.training import TrainingWorkload
from clustersim.workloads.training.closed_form import never_alone
from clustersim.workloads.training.compile import compile_stage
from clustersim.workloads.training.program import (
    Await,
    Compute,
    Launch,
    Program,
    Receive,
    Send,
)

__all__ = ["Exported", "export"]

_TO_HOSTS = ("host_down", "host_up")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Parameters
    ----------
    prefix
        What the names of the files begin with: `PREFIX.0.et`, …
    groups
        The file of communicator groups.
    nodes
        Of all ranks together.
    """

    prefix: Path
    groups: Path
    ranks: int
    nodes: int


def export(workload: TrainingWorkload, folder: Path) -> Exported:
    """Write one iteration of a training job as a Chakra execution trace.

    Every computation, collective, send and receive of every rank becomes a node; its data dependencies
    are what the rank's lane has waited for when it comes there, and what is before it on its
    stream. File `NAME.n.et` is of the n-th GPU of the job, `NAME.groups.json` has the communicator groups.

    Raises
    ------
    InputError
        For a collective that the format has no type for, and a teacher on GPUs of its own.

    **Valid when** kernels take as long as on an idle GPU: what they lose beside collectives, jitter and
    the wait for samples are not in the trace; slow GPUs are. Sizes are rounded to bytes, and durations to
    microseconds without adding up.
    **Source:** mlcommons/chakra, schema/protobuf/et_def.proto; meaning of sizes: docs/chakra.md.
    **Checked by:** tests/workloads/test_chakra_export.py.
    """
    if workload.job.teacher is not None:
        message = "a teacher on GPUs of its own is in no trace; leave 'distillation.gpus' out"
        raise InputError(f"'{workload.name}' cannot be exported: {message}")
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / workload.name
    trace = _Trace(workload)
    nodes = 0
    for number, writer in trace.writers():
        write_file(prefix.with_name(f"{prefix.name}.{number}{SUFFIX}"), writer.nodes)
        nodes += len(writer.nodes)
    groups = prefix.with_name(f"{prefix.name}.groups.json")
    write_groups(groups, {name: ranks for (ranks, _), name in trace.group_names.items() if name})
    return Exported(prefix, groups, len(workload.gpus), nodes)


class _Trace:
    """Names of groups and tags of messages, the same in the files of all ranks."""

    def __init__(self, workload: TrainingWorkload) -> None:
        self._job = workload.job
        self._layout = workload.job.layout
        self._number = {gpu: number for number, gpu in enumerate(workload.gpus)}
        self.group_names: dict[tuple[tuple[int, ...], str], str] = {}
        self._programs = [compile_stage(stage, alone_of=never_alone) for stage in self._job.stages]
        sends = [each for program in self._programs for each in program if isinstance(each, Send)]
        self._tags = {key: tag for tag, key in enumerate(dict.fromkeys(each.key for each in sends))}
        self._sizes = {each.key: each.size_bytes for each in sends}

    def writers(self) -> Iterator[tuple[int, RankWriter]]:
        """Yield the number of each rank's file, and its nodes."""
        for stage, program in enumerate(self._programs):
            for replica in range(self._layout.lanes_per_stage):
                for rank in self._layout.lane_ranks(stage, replica):
                    yield self._number[self._layout.gpu(rank)], self._rank(program, stage, replica, rank)

    def _rank(self, program: Program, stage: int, replica: int, rank: int) -> RankWriter:
        writer = RankWriter()
        gpu, slowdown = self._layout.gpu(rank), float(self._job.slowdown[rank])
        for each in program:
            if isinstance(each, Compute):
                writer.compute(_words(each), each.seconds * slowdown)
            elif isinstance(each, Launch):
                self._launch(writer, each, stage, replica, gpu)
            elif isinstance(each, Await):
                writer.wait(each.key)
            elif isinstance(each, Send | Receive):
                self._pass_on(writer, each, stage, replica, gpu)
        return writer

    # ---- sends

    def _pass_on(self, writer: RankWriter, each: Send | Receive, stage: int, replica: int, gpu: str) -> None:
        own, tag, size_bytes = self._number[gpu], self._tags[each.key], self._sizes[each.key]
        there = self._number[dict(self._layout.exchange(stage, each.stage, replica))[gpu]]
        what = "activations" if each.key.startswith("f") else "gradients"
        if isinstance(each, Send):
            writer.send(each.key, f"send {what}", size_bytes, source=own, target=there, tag=tag)
        else:
            writer.receive(f"receive {what}", size_bytes, source=there, target=own, tag=tag)

    # ---- collectives

    def _launch(self, writer: RankWriter, launch: Launch, stage: int, replica: int, gpu: str) -> None:
        name = f"{launch.dimension.replace('_', ' ')} {launch.collective.replace('_', '-')}"
        if launch.dimension in _TO_HOSTS:
            store = launch.dimension == "host_down"
            writer.move(
                launch.key, name, launch.size_bytes, store=store, stream=launch.stream, after=launch.after
            )
            return
        if launch.collective not in COLLECTIVES:
            raise InputError(
                f"{name}: a Chakra trace has no node for a '{launch.collective}' of a training job"
            )
        for members in self._groups(launch, stage, replica, gpu):
            for _ in range(launch.repeat if len(members) > 1 else 0):
                writer.collective(
                    launch.key,
                    name,
                    launch.collective,
                    launch.size_bytes,
                    stream=launch.stream,
                    ranks=len(members),
                    group=self._group_name(members, launch.stream),
                    after=launch.after,
                )

    def _groups(self, launch: Launch, stage: int, replica: int, gpu: str) -> Iterator[tuple[int, ...]]:
        """Yield the groups of a GPU that run a collective, one after the other."""
        layout = self._layout
        if launch.dimension != "model":
            yield self._with(gpu, layout.groups(launch.dimension, stage))
            return
        # Who holds parts of a replica's gradients; where ZeRO divides them, its replicas too.
        stages = range(layout.pipeline)
        yield self._numbers(
            [layout.gpu(rank) for each in stages for rank in layout.lane_ranks(each, replica)]
        )
        if layout.zero:
            dimension = "data" if self._job.spec.local_steps is None else "shard"
            yield self._with(gpu, layout.groups(dimension, stage))

    def _with(self, gpu: str, groups: Sequence[Sequence[str]]) -> tuple[int, ...]:
        return next((self._numbers(group) for group in groups if gpu in group), ())

    def _numbers(self, gpus: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._number[gpu] for gpu in gpus)

    def _group_name(self, members: tuple[int, ...], stream: str) -> str:
        """Name a group by its number, from 1, one for each stream: collectives of one group wait in line.

        The first of all ranks in order has no name.
        """
        names = self.group_names
        if "" not in names.values() and members == tuple(range(len(self._number))):
            names.setdefault((members, stream), "")
        return names.setdefault((members, stream), str(len(names) + 1))


def _words(compute: Compute) -> str:
    if compute.micro_batch < 0:
        return compute.kind
    chunk = f" chunk {compute.chunk}" if compute.chunk else ""
    return f"{compute.kind} {compute.micro_batch}{chunk}"
