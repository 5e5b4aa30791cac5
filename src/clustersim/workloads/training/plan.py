"""What one iteration of data-parallel training consists of, before anything runs.

The backward pass is cut where a gradient bucket becomes complete, so that an iteration is
a few phases of known length and a few all-reduces of known size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clustersim.cost.roofline import KernelTime
from clustersim.cost.training import LayerCost, TrainingCost

__all__ = ["Bucket", "IterationPlan", "Phase", "gradient_buckets", "plan_iteration"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of kernels on the compute stream, for a GPU without jitter.

    `shares` splits `seconds` over resources; `host_s` is the part in which the GPU waits
    for kernel launches.
    """

    label: str
    seconds: float
    host_s: float
    shares: Mapping[str, float]

    @classmethod
    def of(cls, label: str, time: KernelTime) -> Phase:
        """Make a phase of a kernel time."""
        return cls(label, time.seconds, time.launch_s, time.shares())


@dataclass(frozen=True, slots=True)
class Bucket:
    """Gradients that are all-reduced together.

    `phase` is the index of the backward phase whose end completes the bucket.
    """

    size_bytes: float
    phase: int


@dataclass(frozen=True)
class IterationPlan:
    """The phases and buckets of one iteration.

    Parameters
    ----------
    micro_steps
        Forward-backward passes per optimizer step.
    accumulation
        All passes but the last, which do not communicate; None for a single pass.
    forward, backward
        The last pass; the backward pass in the order in which it runs.
    buckets
        In the order in which they are all-reduced.
    optimizer
        The update of the weights.
    """

    micro_steps: int
    accumulation: Phase | None
    forward: Phase
    backward: tuple[Phase, ...]
    buckets: tuple[Bucket, ...]
    optimizer: Phase

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All phases before the optimizer, in order."""
        head = () if self.accumulation is None else (self.accumulation,)
        return (*head, self.forward, *self.backward)

    @property
    def alone_s(self) -> float:
        """Length of the iteration on one GPU without communication and jitter."""
        return sum(phase.seconds for phase in self.phases) + self.optimizer.seconds


def gradient_buckets(
    layers: Sequence[LayerCost], *, bucket_bytes: float, bytes_per_parameter: float
) -> Iterator[tuple[float, int]]:
    """Fill buckets with the gradients of `layers` in backward order.

    A bucket is closed as soon as it holds at least `bucket_bytes`; the last one takes what
    is left. Yields the size of each bucket and the number of layers, counted from the end
    of the model, whose backward pass must be over.

    **Source:** Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel
    Training", VLDB 2020, section 3.2.3 (25 MiB, reverse order of the layers).
    **Checked by:** tests/workloads/test_training_plan.py.
    """
    size_bytes, filled_by = 0.0, 0
    for number, layer in enumerate(reversed(layers), start=1):
        if layer.parameters:
            size_bytes += layer.parameters * bytes_per_parameter
            filled_by = number
        if size_bytes and size_bytes >= bucket_bytes:
            yield size_bytes, filled_by
            size_bytes = 0.0
    if size_bytes:
        yield size_bytes, filled_by


def plan_iteration(
    cost: TrainingCost, *, micro_steps: int, bucket_bytes: float, overlap: bool, synchronised: bool
) -> IterationPlan:
    """Cut an iteration into phases at the points where gradient buckets become complete.

    Parameters
    ----------
    overlap
        False: every bucket waits for the end of the backward pass.
    synchronised
        False for a single replica: there is nothing to all-reduce.
    """
    buckets = (
        tuple(
            gradient_buckets(
                cost.layers, bucket_bytes=bucket_bytes, bytes_per_parameter=cost.gradient_bytes_per_parameter
            )
        )
        if synchronised
        else ()
    )
    cuts = sorted({layers for _, layers in buckets} | {len(cost.layers)}) if overlap else [len(cost.layers)]
    backward = tuple(
        Phase.of(f"backward {index + 1}/{len(cuts)}", _sum(_backward(cost.layers, begin, end)))
        for index, (begin, end) in enumerate(zip([0, *cuts], cuts, strict=False))
    )
    return IterationPlan(
        micro_steps=micro_steps,
        accumulation=_accumulation(cost, micro_steps - 1) if micro_steps > 1 else None,
        forward=Phase.of("forward", cost.forward),
        backward=backward,
        buckets=tuple(Bucket(size, cuts.index(layers) if overlap else 0) for size, layers in buckets),
        optimizer=Phase.of("optimizer", cost.optimizer),
    )


def _accumulation(cost: TrainingCost, passes: int) -> Phase:
    return Phase.of(f"accumulate {passes} micro-steps", (cost.forward + cost.backward) * passes)


def _backward(layers: Sequence[LayerCost], begin: int, end: int) -> Iterator[KernelTime]:
    """Backward times of layers number `begin` to `end`, counted from the end of the model."""
    return (layer.backward for layer in reversed(layers[len(layers) - end : len(layers) - begin]))


def _sum(times: Iterator[KernelTime]) -> KernelTime:
    return sum(times, start=KernelTime.ZERO)
