"""The programs of all lanes of a job, made on demand: lanes with the same closed forms share one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from clustersim.workloads.training.closed_form import Alone
from clustersim.workloads.training.compile import StagePlan, compile_stage
from clustersim.workloads.training.job import TrainingJob
from clustersim.workloads.training.link_conflicts import Use, link_conflicts
from clustersim.workloads.training.network import Network
from clustersim.workloads.training.program import Launch, Program, Send

__all__ = ["Programs"]

_Message = tuple[str, str, float]


class Programs:
    """Compiles what a lane does in an iteration, as it is at that moment.

    Made, it lets every communicator choose its routes, so that it is known who shares which links.

    Parameters
    ----------
    network
        Tells which collectives have their links to themselves.
    lanes
        Stage and replica of those that are simulated.
    """

    def __init__(self, job: TrainingJob, network: Network, lanes: Sequence[tuple[int, int]]) -> None:
        self._job = job
        self._network = network
        self._messages = [list(dict.fromkeys(_messages(stage))) for stage in job.stages]
        self._each: dict[int, list[Send | Launch]] = {}
        self._made: dict[tuple[int, bool, tuple[object, ...]], Program] = {}
        for stage, replica in lanes:
            self._plan(stage, replica)
        self._uses = link_conflicts(network)

    def exchanges(self, step: int) -> bool:
        """Whether workers exchange what they have learned at the end of a step."""
        outer = self._job.stages[0].outer
        return outer is not None and (step + 1) % outer.every == 0

    def of(self, stage: int, replica: int, *, exchanges: bool = False) -> Program:
        """Return the program of a lane, for a step at whose end workers exchange, or not."""
        forms = {message: self._form(message, stage, replica) for message in self._messages[stage]}
        key = (stage, exchanges, tuple((alone and alone.seconds, use) for alone, use in forms.values()))
        found = self._made.get(key)
        if found is None:

            def alone_of(dimension: str, collective: str, size_bytes: float, *, quiet: bool) -> Alone | None:
                alone, use = forms[dimension, collective, size_bytes]
                return alone if use == "apart" or (use == "beside replicas" and quiet) else None

            plan = self._job.stages[stage]
            plan = plan if exchanges else replace(plan, outer=None)
            found = self._made[key] = compile_stage(plan, alone_of=alone_of)
        return found

    def _form(self, message: _Message, stage: int, replica: int) -> tuple[Alone | None, Use]:
        dimension, collective, size_bytes = message
        alone = self._network.alone(dimension, collective, size_bytes, stage=stage, replica=replica)
        return alone, self._uses[dimension, stage, replica]

    def _plan(self, stage: int, replica: int) -> None:
        network = self._network
        for dimension, collective, size_bytes in self._messages[stage]:
            network.communicator(dimension, stage, replica).alone_s(collective, size_bytes)
        for instruction in self._said(stage):
            if isinstance(instruction, Send):
                communicator = network.sends(stage, instruction.stage, replica)
                communicator.alone_s("send_recv:0:1", instruction.size_bytes)
            else:
                made = network.communicator(instruction.dimension, stage, replica)
                kind = "send_recv:0:1" if instruction.collective == "send" else instruction.collective
                made.alone_s(kind, instruction.size_bytes)

    def _said(self, stage: int) -> Sequence[Send | Launch]:
        """Return one of each kind of message that lanes of a stage say between them."""
        if stage not in self._each:
            plan = self._job.stages[stage]
            ends = {0, self._job.micro_batches - 1}  # others say the same as the first
            few = replace(plan, order=[item for item in plan.order if item.micro_batch in ends])
            program = compile_stage(few, alone_of=_in_no_time)
            each: dict[object, Send | Launch] = {}
            for instruction in program:
                if isinstance(instruction, Send):
                    each[instruction.stage, instruction.size_bytes] = instruction
                elif isinstance(instruction, Launch) and instruction.dimension != "model":
                    each[instruction[2:5]] = instruction
            self._each[stage] = list(each.values())
        return self._each[stage]


def _in_no_time(dimension: str, collective: str, size_bytes: float, *, quiet: bool) -> Alone:
    """Leave out what ranks of a lane say to each other."""
    return Alone(0.0, {})


def _messages(stage: StagePlan) -> Iterator[_Message]:
    for chunk in stage.chunks:
        for layer in chunk:
            for message in (*layer.messages_forward, *layer.messages_backward):
                yield message.dimension, message.collective, message.size_bytes
