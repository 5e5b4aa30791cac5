"""All lanes of a job, and the meetings between them: runs one iteration after the other."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import simpy

from clustersim.engine.trace import NO_CAUSE
from clustersim.engine.world import World
from clustersim.workloads.span import Span
from clustersim.workloads.training.lane import Lane
from clustersim.workloads.training.meeting import Meeting, Stream
from clustersim.workloads.training.network import Network, Reach
from clustersim.workloads.training.pace import Pace
from clustersim.workloads.training.program import Booked, Compute, Launch, Load, Program, Receive, Send
from clustersim.workloads.training.quiet_sends import QuietSends

__all__ = ["Crew"]

_Key = tuple[str | int, ...]


class Crew:
    """The lanes that are simulated.

    Parameters
    ----------
    network
        What they talk over.
    books
        Whether collectives in closed form are put on the links' meters.
    """

    def __init__(self, world: World, network: Network, *, books: bool = True) -> None:
        layout = network.layout
        self.world = world
        self.network = network
        replicas = 1 if network.folded else layout.lanes_per_stage
        self.lanes = [
            Lane(world.env, stage=stage, replica=replica, surroundings=self)
            for stage in range(layout.pipeline)
            for replica in range(replicas)
        ]
        self._books = books
        self._sends = QuietSends(world, closed_form=network.closed_forms)
        self._streams: dict[_Key, Stream] = {}
        self._meetings: dict[_Key, Meeting] = {}
        self._names = {
            (lane.stage, lane.replica): f"{network.lane_name(lane.stage, lane.replica)}/compute"
            for lane in self.lanes
        }

    def iterate(
        self, programs: Sequence[Program], paces: Sequence[Pace]
    ) -> Generator[simpy.Event, Any, Lane]:
        """Run one iteration of all lanes; return the lane that ended last."""
        env = self.world.env
        self._meetings.clear()
        yield env.all_of(
            [
                env.process(lane.run(program, pace))
                for lane, program, pace in zip(self.lanes, programs, paces, strict=True)
            ]
        )
        self._close(env.now)
        return max(self.lanes, key=lambda lane: lane.end_s)

    def begin_after(self, span: Span | None) -> None:
        """Let all lanes begin because `span` ended."""
        for lane in self.lanes:
            lane.last = span

    def reduced(self) -> tuple[float, float]:
        """Return bus bytes and seconds of what replicas said in the last iteration, summed over lanes."""
        bus_bytes = seconds = 0.0
        for meeting in self._meetings.values():
            if meeting.bus_bytes and meeting.span is not None:
                lanes = len(meeting.lanes)
                bus_bytes += lanes * meeting.bus_bytes
                seconds += lanes * (meeting.span.end_s - meeting.span.start_s)
        return bus_bytes, seconds

    def _close(self, now_s: float) -> None:
        """Book the time between the end of each lane and that of all."""
        ended: dict[int, float] = {}
        for lane in self.lanes:
            ended[lane.replica] = max(ended.get(lane.replica, 0.0), lane.end_s)
        for lane in self.lanes:
            lane.ledger.seconds["bubble_s"] += ended[lane.replica] - lane.end_s
            lane.ledger.seconds["waiting_s"] += now_s - ended[lane.replica]

    # ---- what lanes ask for

    def collective(self, lane: Lane, launch: Launch) -> tuple[Meeting, Stream]:
        """Return where a lane meets others for a collective."""
        network, dimension = self.network, launch.dimension
        places: Mapping[Reach, _Key] = {
            "lane": (lane.stage, lane.replica),
            "stage": (lane.stage,),
            "ends": ("ends",),
            "job": ("job",),
        }
        place = places[network.reach(dimension)]
        key: _Key = (*place, launch.key)
        meeting = self._meetings.get(key)
        if meeting is None:
            start = network.run(
                dimension,
                launch.collective,
                stage=lane.stage,
                replica=lane.replica,
                size_bytes=launch.size_bytes,
                repeat=launch.repeat,
            )
            meeting = self._meetings[key] = Meeting(
                dimension,
                lambda cause: self._sends.over_fabric(lambda: start(cause)),
                parties=network.parties(dimension),
                beside=network.beside(dimension, lane.stage, lane.replica),
                bus_bytes=network.bus_bytes(launch, lane.stage),
            )
        return meeting, self._stream((*place, "stream", launch.stream))

    def send(self, lane: Lane, send: Send) -> tuple[Meeting, Stream]:
        """Return what a lane sends to another stage."""
        meeting = self._transfer(lane.stage, send.stage, lane.replica, send.key)
        communicator = self.network.sends(lane.stage, send.stage, lane.replica)
        label = _transfer_label(send.key)
        meeting.run = lambda cause: self._sends.send(communicator, send.size_bytes, cause=cause, label=label)
        return meeting, self._stream((lane.stage, send.stage, lane.replica, "sends"))

    def expect(self, lane: Lane, receive: Receive) -> Meeting:
        """Return what another stage sends, begun or not."""
        return self._transfer(receive.stage, lane.stage, lane.replica, receive.key)

    def book(self, lane: Lane, booked: tuple[Booked, ...], start_s: float, end_s: float) -> None:
        """Put collectives that a pass contains on the links' meters."""
        if not self._books:
            return
        for item in booked:
            communicator = self.network.communicator(item.dimension, lane.stage, lane.replica)
            communicator.account(
                item.collective, item.size_bytes, repeat=item.times, start_s=start_s, end_s=end_s
            )

    def record(
        self, lane: Lane, compute: Compute, start_s: float, end_s: float, shares: Mapping[str, float]
    ) -> int:
        """Write a stretch of kernels into the trace; return its row."""
        trace = self.world.trace
        if not trace.keep:
            return NO_CAUSE
        label: str = compute.kind
        if compute.micro_batch >= 0:
            label = f"{compute.kind} {compute.micro_batch}"
            if compute.chunk:
                label += f" chunk {compute.chunk}"
        cause = NO_CAUSE if lane.last is None else lane.last.row
        name = self._names[lane.stage, lane.replica]
        return trace.record("compute", name, label, start_s, end_s, cause=cause, shares=shares)

    def record_stall(
        self, lane: Lane, load: Load, start_s: float, end_s: float, shares: Mapping[str, float]
    ) -> int:
        """Write a wait for samples into the trace; return its row."""
        name, label = self._names[lane.stage, lane.replica], f"samples of {load.micro_batch}"
        cause = NO_CAUSE if lane.last is None else lane.last.row
        return self.world.trace.record("queue", name, label, start_s, end_s, cause=cause, shares=shares)

    def record_samples(
        self,
        lane: Lane,
        kind: str,
        start_s: float,
        end_s: float,
        shares: Mapping[str, float],
        cause: int,
    ) -> int:
        """Write reading or decoding of a lane's samples into the trace; return its row."""
        label = "decode samples" if kind == "host" else "read samples"
        name = f"{self._names[lane.stage, lane.replica]}/samples"
        return self.world.trace.record(kind, name, label, start_s, end_s, cause=cause, shares=shares)

    def _transfer(self, source: int, target: int, replica: int, key: str) -> Meeting:
        place = (source, target, replica, key)
        meeting = self._meetings.get(place)
        if meeting is None:
            meeting = self._meetings[place] = Meeting("pipeline", _unsent)
        return meeting

    def _stream(self, key: _Key) -> Stream:
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(self.world.env)
        return stream


def _unsent(_: int) -> simpy.Event:
    raise AssertionError("a transfer begins when its sender has come")


def _transfer_label(key: str) -> str:
    what = "activations" if key.startswith("f") else "gradients"
    return f"{what} {key[1:].partition('.')[0]}"
