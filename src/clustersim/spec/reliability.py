"""What a scenario may say about failures, checkpoints and repair of a training job."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel
from clustersim.units import BandwidthQuantity, SizeQuantity, TimeQuantity

__all__ = ["CheckpointSpec", "FailureSpec", "ReliabilitySpec"]


def _refuse_zero(spec: SpecModel, *names: str) -> None:
    for name in names:
        if getattr(spec, name) == 0.0:
            raise FieldError("has to be more than zero", name)


class FailureSpec(SpecModel):
    """How often the job fails, and how long it takes to notice and to repair."""

    like: str = "llama-3-16k"
    """Record of the catalogue (`clustersim catalog --kind reliability`) that what is not given here is
    taken from. `ideal`: nothing fails."""
    node_mtbf: TimeQuantity | None = None
    """Mean time between failures of one node that take it out of the job until it is repaired; a job
    on N nodes has N times as many."""
    weibull_shape: Annotated[float, Field(ge=0.2, le=10.0)] = 1.0
    """Shape of the Weibull distribution of the time between failures of a node. 1: exponential, failures
    come at random; less than 1: nodes that failed lately fail again sooner."""
    software_mtbf: TimeQuantity | None = None
    """Mean time, counted per node like `node_mtbf`, between failures that stop the job and leave every
    node whole: software, time-outs, links that come back."""
    detection: TimeQuantity | None = None
    """From the failure until the job is stopped and the culprit is found."""
    restart: TimeQuantity | None = None
    """From then until training goes on: scheduling, start of processes and communicators. Reading the
    checkpoint comes on top."""
    repair: TimeQuantity | None = None
    """Mean time until a failed node is back, exponentially distributed."""

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        _refuse_zero(self, "node_mtbf", "software_mtbf")
        return self


class CheckpointSpec(SpecModel):
    """When the state of the job is saved, and what that takes."""

    interval: TimeQuantity | None = None
    """Training time between checkpoints, rounded to whole iterations. Default: Daly's estimate of the
    optimum."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Iterations between checkpoints, in place of `interval`."""
    mode: Literal["synchronous", "asynchronous"] = "synchronous"
    """`synchronous`: training stands still until storage has it all; `asynchronous`: until it is copied to
    the memory of the hosts, from where it is written beside training."""
    size: SizeQuantity | None = None
    """Of one checkpoint. Default: weights, master weights and optimizer states of the model, each
    saved once, in the bytes of the memory model."""
    storage_bandwidth: BandwidthQuantity | None = None
    """What the whole storage system takes and gives. Default: as much as the nodes ask for."""
    node_bandwidth: BandwidthQuantity | None = None
    """What one node writes and reads. Default: the `checkpoint_bandwidth` of the record that `failures.like`
    names."""
    copy_bandwidth: BandwidthQuantity | None = None
    """What one GPU copies to its host's memory while the others of its node do the same. Default: its
    share of the links between them in the topology."""

    @model_validator(mode="after")
    def _one_interval(self) -> Self:
        if self.steps is not None and self.interval is not None:
            raise FieldError("give either 'interval' or 'steps', not both", "steps")
        _refuse_zero(self, "interval", "storage_bandwidth", "node_bandwidth", "copy_bandwidth")
        return self


class ReliabilitySpec(SpecModel):
    """Failures, checkpoints and spare nodes over days; `clustersim goodput` reads it."""

    failures: FailureSpec = FailureSpec()
    """How often the job fails."""
    checkpoint: CheckpointSpec = CheckpointSpec()
    """When its state is saved."""
    spares: Annotated[int, Field(ge=0)] = 0
    """Nodes that stand by to take the place of failed ones."""
    without_spare: Literal["wait", "shrink"] = "wait"
    """When no spare is left. `wait`: until a node is repaired; `shrink`: go on without the data-parallel
    replicas that the missing nodes belong to, and take them in again when nodes are back."""
