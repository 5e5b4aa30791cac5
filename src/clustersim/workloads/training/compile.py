"""From a layout, a schedule and the cost of layers to the program of each stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clustersim.cost.roofline import KernelTime
from clustersim.cost.training.training_cost import LayerCost
from clustersim.spec.training import OverlapSpec
from clustersim.workloads.training.closed_form import AloneOf
from clustersim.workloads.training.pass_writer import PassWriter
from clustersim.workloads.training.program import (
    Await,
    Compute,
    ComputeKind,
    Instruction,
    Launch,
    Lesson,
    Load,
    Program,
    Receive,
    Send,
)
from clustersim.workloads.training.replication import Replication
from clustersim.workloads.training.schedules import Pass
from clustersim.workloads.training.stages import layer_units
from clustersim.workloads.training.techniques.local_steps import OuterStep
from clustersim.workloads.training.techniques.offload import HostTraffic

__all__ = ["NORM", "StagePlan", "compile_stage"]

NORM = "norm"
"""Key of the small all-reduce before the optimizer step."""

_GRADIENTS = ("data", "reduce", "host_down")
"""Streams whose last collective the end of the iteration waits for."""

_NORM_BYTES = 4.0
"""One fp32 number: the sum of squares of all gradients, or whether one of them overflowed."""


@dataclass(frozen=True)
class StagePlan:
    """What one stage has to do in an iteration.

    Parameters
    ----------
    stage, stages
        Which one of how many.
    order
        Its passes.
    chunks
        Layers of each of its chunks.
    optimizer
        Update of what one GPU updates.
    replication
        What its replicas say to each other.
    overlap
        What runs beside kernels.
    tied_bytes
        Gradients of tied embeddings that the first and last stage add up; 0 for other stages.
    norm
        Whether ranks with different gradients have to agree on their norm before the update.
    host
        What GPUs say to their hosts; None where nothing is offloaded.
    loads
        Whether samples come from storage.
    taught
        Whether logits come from a teacher on other GPUs.
    outer
        What workers exchange after the update; None for nothing.
    """

    stage: int
    stages: int
    order: Sequence[Pass]
    chunks: Sequence[Sequence[LayerCost]]
    optimizer: KernelTime
    replication: Replication
    overlap: OverlapSpec
    tied_bytes: float
    norm: bool
    host: HostTraffic | None = None
    loads: bool = False
    taught: bool = False
    outer: OuterStep | None = None


def compile_stage(plan: StagePlan, *, alone_of: AloneOf) -> Program:
    """Return the program of the lanes of a stage.

    - A pass receives what the stage before it sends, computes, and sends on.
    - Gradients are added up in buckets as the last pass that adds to them completes each; with ZeRO 2 and
      3 after every micro-batch, as nobody keeps all of them. All passes over, the lane waits for
      the buckets, agrees on the norm and updates.
    - ZeRO 1 and 2: an iteration begins with the collection of what the iteration before it updated,
      beside the forward pass (`overlap.parameters`), or ends with it.
    - ZeRO 3: each layer is collected before its forward and backward pass, `overlap.prefetch` ahead.

    **Checked by:** tests/workloads/test_training_compile.py.
    """
    return _Compiler(plan, alone_of).program()


class _Compiler:
    def __init__(self, plan: StagePlan, alone_of: AloneOf) -> None:
        self._plan = plan
        self._alone_of = alone_of
        self._replication = plan.replication
        self._zero = plan.replication.layout.zero
        self._last = _last_passes(plan.order)
        self._split = {(each.micro_batch, each.chunk) for each in plan.order if each.kind == "weight"}
        self._gathered: dict[int, list[tuple[Sequence[LayerCost], list[Launch]]]] = {}
        self._templates: dict[tuple[object, ...], Sequence[Instruction]] = {}
        self._quiet = True
        self._pending: dict[str, str] = {}

    def program(self) -> Program:
        plan, overlap = self._plan, self._plan.overlap
        program: list[Instruction] = []
        collects = self._zero in (1, 2)
        if collects:
            self._gathered = {chunk: list(self._collected(chunk)) for chunk in range(len(plan.chunks))}
        if collects and overlap.parameters:
            chunks = dict.fromkeys(each.chunk for each in plan.order)
            gathers = [launch for chunk in chunks for launch in self._gathers(chunk)]
            program += gathers
            self._quiet = not gathers
        begun: set[int] = set()
        for number, each in enumerate(plan.order):
            first = each.chunk not in begun
            begun.add(each.chunk)
            waits = first and collects and overlap.parameters
            program += self._pass(number, each, waits=waits)
            if waits and len(begun) == len(plan.chunks):
                self._quiet = True  # the last parameters have come
        program += self._end()
        if collects and not overlap.parameters:
            launches = [launch for chunk in self._gathered for launch in self._gathers(chunk)]
            program += launches
            program += (Await(launch.key) for launch in launches[-1:])
        return tuple(program)

    # ---- passes

    def _pass(self, number: int, each: Pass, *, waits: bool) -> Iterator[Instruction]:
        """Yield one pass with its neighbours' messages; `waits` for parameters collected beside it."""
        plan = self._plan
        place = each.chunk * plan.stages + plan.stage
        last_place = len(plan.chunks) * plan.stages - 1
        step = {"forward": 1, "backward": -1}.get(each.kind, 0)
        before, after = place - step, place + step
        if step and 0 <= before <= last_place and plan.stages > 1:
            yield Receive(_transfer(each, place), before % plan.stages)
        if plan.loads and place == 0 and each.kind == "forward":
            yield Load(each.micro_batch)
        if plan.taught and place == last_place and each.kind == "backward":
            yield Lesson(each.micro_batch)
        reduces = self._reduces(number, each)
        if reduces or self._zero == 3:
            self._quiet = False
        prefix = f"{number}."
        down = self._goes_down(number, each)
        for instruction in self._template(each, reduces=reduces, waits=waits, down=down):
            stamped = _stamped(instruction, each, prefix)
            if isinstance(stamped, Launch) and stamped.stream in _GRADIENTS:
                self._pending[stamped.stream] = stamped.key
            yield stamped
        if step and 0 <= after <= last_place and plan.stages > 1:
            key = _transfer(each, after)
            yield Send(key, after % plan.stages, self._message_bytes(each))
            if not plan.overlap.pipeline:
                yield Await(key)

    def _message_bytes(self, each: Pass) -> float:
        """Return what a rank sends: the output of its chunk, or the gradient of its input."""
        return float(self._plan.chunks[each.chunk][-1 if each.kind == "forward" else 0].output_bytes)

    def _reduces(self, number: int, each: Pass) -> bool:
        """Whether gradients are added up over the replicas in this pass."""
        if each.kind == "forward" or (each.kind == "backward" and self._is_split(each)):
            return False
        return self._zero >= 2 or (self._last[each.chunk] == number and self._plan.overlap.enabled)

    def _goes_down(self, number: int, each: Pass) -> bool:
        """Whether gradients that are added up in this pass go to the host."""
        host = self._plan.host
        return host is not None and (host.every_pass or self._last[each.chunk] == number)

    def _is_split(self, each: Pass) -> bool:
        """Whether the gradients of weights have a pass of their own."""
        return (each.micro_batch, each.chunk) in self._split

    def _template(self, each: Pass, *, reduces: bool, waits: bool, down: bool) -> Sequence[Instruction]:
        key = (each.kind, each.chunk, reduces, waits, down, self._is_split(each), self._quiet)
        if key not in self._templates:
            writer = PassWriter(
                each.kind,
                each.chunk,
                alone_of=self._alone_of,
                overlap=self._plan.overlap,
                quiet=self._quiet,
            )
            if waits:
                self._write_waiting(writer, each.chunk)
            elif self._zero == 3 and each.kind != "weight":
                self._write_collecting(writer, each, reduces=reduces, down=down)
            else:
                self._write_plain(writer, each, reduces=reduces, down=down)
            self._templates[key] = writer.finish()
        return self._templates[key]

    def _write_plain(self, writer: PassWriter, each: Pass, *, reduces: bool, down: bool) -> None:
        layers = self._plan.chunks[each.chunk]
        if each.kind == "forward":
            self._write(writer, each, layers)
            return
        layers = layers[::-1]
        done = 0
        if reduces:
            for bucket, filled_by in self._replication.buckets(layers):
                self._write(writer, each, layers[done:filled_by])
                stream = "reduce" if self._zero == 3 else "data"
                writer.kernels(self._replication.encode(bucket))
                writer.put(*self._summed(f"g{filled_by}", bucket, stream=stream, down=down))
                done = filled_by
        self._write(writer, each, layers[done:])

    def _write_waiting(self, writer: PassWriter, chunk: int) -> None:
        """Write a forward pass that waits for parameters, bucket by bucket."""
        forward = Pass("forward", 0, chunk)
        for layers, launches in self._gathered[chunk]:
            writer.put(*(Await(f"!{launch.key}") for launch in launches[-1:]))
            self._write(writer, forward, layers)

    def _summed(self, key: str, layers: Sequence[LayerCost], *, stream: str, down: bool) -> Iterator[Launch]:
        """Yield what adds up the gradients of some layers, and takes the sums to the host."""
        last = ""
        for launch in self._replication.gradients(key, layers, stream=stream):
            last = launch.key
            yield launch
        if down and self._plan.host is not None:
            yield from self._plan.host.gradients(key, layers, after=last)

    def _write_collecting(self, writer: PassWriter, each: Pass, *, reduces: bool, down: bool) -> None:
        """Write a pass that collects each layer's parameters before it computes with them (ZeRO 3)."""
        units = list(layer_units(self._plan.chunks[each.chunk]))
        if each.kind == "backward":
            units = [unit[::-1] for unit in reversed(units) if any(map(_goes_back, unit))]
        gathers = [
            list(self._replication.parameters(f"p{number}", unit, stream="gather"))
            for number, unit in enumerate(units)
        ]
        ahead = self._plan.overlap.prefetch
        for launches in gathers[:ahead]:
            writer.put(*launches)
        for number, unit in enumerate(units):
            if number + ahead < len(units):
                writer.put(*gathers[number + ahead])
            writer.put(*(Await(launch.key) for launch in gathers[number][-1:]))
            self._write(writer, each, unit)
            if reduces:
                writer.put(*self._summed(f"g{number}", unit, stream="reduce", down=down))

    def _write(self, writer: PassWriter, each: Pass, layers: Iterable[LayerCost]) -> None:
        host = self._plan.host
        traffic = host.activations[each.chunk] if host is not None and host.activations else None
        for layer in layers:
            if traffic is not None:
                writer.put_any(traffic.before(each, layer))
            self._write_layer(writer, each, layer)
            if traffic is not None:
                writer.put_any(traffic.after(each, layer))

    def _write_layer(self, writer: PassWriter, each: Pass, layer: LayerCost) -> None:
        host = layer.host
        if each.kind == "forward":
            writer.kernels(layer.forward, layer.messages_forward, host_s=host.forward, blocking=host.blocking)
            if host.restart_s:
                writer.wait(host.restart_s)
        elif each.kind == "weight":
            writer.kernels(layer.backward_weight, host_s=host.backward_weight, blocking=host.blocking)
        else:
            time, messages = layer.recompute + layer.backward_input, layer.messages_before_weights
            host_s = host.recompute + host.backward_input
            if not self._is_split(each):
                time, messages = time + layer.backward_weight, layer.messages_backward
                host_s += host.backward_weight
            writer.kernels(time, messages, host_s=host_s, blocking=host.blocking)

    # ---- parameters and the end

    def _collected(self, chunk: int) -> Iterator[tuple[Sequence[LayerCost], list[Launch]]]:
        """Yield the layers of a chunk in buckets, with the launches that collect their parameters."""
        layers, done = self._plan.chunks[chunk], 0
        for bucket, filled_by in self._replication.buckets(layers):
            key = f"p{chunk}.{filled_by}"
            yield bucket, list(self._replication.parameters(key, bucket, stream="data"))
            done = filled_by
        yield layers[done:], []

    def _gathers(self, chunk: int) -> Iterator[Launch]:
        return (launch for _, launches in self._gathered[chunk] for launch in launches)

    def _end(self) -> Iterator[Instruction]:
        """Yield what comes after the last pass: remaining gradients, the norm, the update."""
        plan = self._plan
        if not plan.overlap.enabled and self._zero < 2:
            for chunk in sorted(self._last, key=self._last.__getitem__):
                for bucket, filled_by in self._replication.buckets(plan.chunks[chunk][::-1]):
                    key = f"c{chunk}.g{filled_by}"
                    yield from _kernels("backward", self._replication.encode(bucket))
                    for launch in self._summed(key, bucket, stream="data", down=plan.host is not None):
                        self._pending[launch.stream] = launch.key
                        yield launch
        for stream, key in self._pending.items():
            if stream != "host_down":
                yield Await(key)
        for layers in plan.chunks:
            decoded = (
                self._replication.decode(bucket) for bucket, _ in self._replication.buckets(layers[::-1])
            )
            yield from _kernels("optimizer", sum(decoded, KernelTime.ZERO))
        if plan.tied_bytes:
            yield Launch("tied", "tied", "embedding", "all_reduce", plan.tied_bytes)
            yield Await("tied")
        if plan.norm:
            yield Launch(NORM, NORM, "model", "all_reduce", _NORM_BYTES)
            yield Await(NORM)
        if plan.host is not None and plan.host.update is not None:
            if "host_down" in self._pending:
                yield Await(self._pending["host_down"])
            yield from plan.host.update.instructions()
        else:
            update = plan.optimizer
            yield Compute("optimizer", update.seconds, update.launch_s, update.shares())
        if plan.outer is not None:
            yield from plan.outer.instructions()


def _kernels(kind: ComputeKind, time: KernelTime) -> Iterator[Compute]:
    """Yield kernels that belong to no micro-batch, if there are any."""
    if time.seconds:
        yield Compute(kind, time.seconds, time.launch_s, time.shares())


def _goes_back(layer: LayerCost) -> bool:
    """Whether a backward pass has anything to do in a block; a teacher's has not."""
    return layer.backward.seconds > 0.0 or bool(layer.messages_backward)


def _last_passes(order: Sequence[Pass]) -> Mapping[int, int]:
    """Return for each chunk the number of the last pass that adds to its gradients."""
    return {each.chunk: number for number, each in enumerate(order) if each.kind != "forward"}


def _transfer(each: Pass, place: int) -> str:
    """Name what arrives for a pass at the place-th chunk of the model."""
    return f"{each.kind[0]}{each.micro_batch}.{place}"


def _stamped(instruction: Instruction, each: Pass, prefix: str) -> Instruction:
    """Give an instruction of a template its micro-batch, and keys of its own; `!` marks what is known."""
    if isinstance(instruction, Compute):
        return instruction._replace(micro_batch=each.micro_batch)
    if isinstance(instruction, Launch):
        after = prefix + instruction.after if instruction.after else ""
        return instruction._replace(key=prefix + instruction.key, after=after)
    if isinstance(instruction, Await):
        key = instruction.key
        return Await(key[1:] if key.startswith("!") else prefix + key)
    return instruction
