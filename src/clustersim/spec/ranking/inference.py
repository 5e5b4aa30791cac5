"""What a scenario may say about a service that ranks candidates."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, InputPath, SpecModel
from clustersim.spec.arrivals import (
    ClientArrivals,
    ClosedLoopArrivals,
    FixedArrivals,
    GammaArrivals,
    PoissonArrivals,
    WeibullArrivals,
)
from clustersim.spec.economics import RunningCostSpec
from clustersim.spec.ranking.candidates import CandidatesSpec
from clustersim.spec.ranking.experiment import RankingExperimentSpec
from clustersim.spec.ranking.model_push import ModelPushSpec
from clustersim.spec.ranking.objectives import RankingSloSpec
from clustersim.spec.ranking.pool import RankingPoolSpec
from clustersim.spec.ranking.stages import RankingStageSpec
from clustersim.spec.traffic import TrafficSpec
from clustersim.units import TIME, TimeQuantity, quantity

__all__ = ["QueryArrivalsSpec", "QueryTraceArrivals", "RankingInferenceSpec"]


class QueryTraceArrivals(SpecModel):
    """Arrival times and candidates from a file."""

    kind: Literal["trace"]
    path: InputPath
    """CSV or CSV.gz with columns `arrived_at` (seconds) and `candidates`, relative to the scenario file."""
    rate_scale: Annotated[float, Field(gt=0.0)] = 1.0
    """Gaps are divided by this: 2 doubles the load."""


QueryArrivalsSpec = Annotated[
    PoissonArrivals
    | GammaArrivals
    | WeibullArrivals
    | FixedArrivals
    | ClosedLoopArrivals
    | ClientArrivals
    | QueryTraceArrivals,
    Field(discriminator="kind"),
]
"""When queries arrive."""


class RankingInferenceSpec(RankingPoolSpec):
    """A ranking service: queries arrive, each with candidates that a model gives scores to."""

    kind: Literal["ranking-inference"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the workload in all outputs."""
    arrivals: QueryArrivalsSpec
    """When queries arrive."""
    candidates: CandidatesSpec | None = None
    """How many candidates each query has; needed unless the arrivals are a trace."""
    slo: RankingSloSpec = RankingSloSpec()
    """Objective that attainment and goodput are counted against."""
    stages: Annotated[tuple[RankingStageSpec, ...], LIST] = ()
    """Stages that come before the service's own model, in order: each passes on the best candidates."""
    experiment: RankingExperimentSpec | None = None
    """Another model that some of the queries are ranked by, in place of the service's own."""
    push: ModelPushSpec | None = None
    """New weights for the replicas of the service's own model while they serve."""
    traffic: TrafficSpec = TrafficSpec()
    """How its bytes compete with those of other workloads."""
    economics: RunningCostSpec = RunningCostSpec()
    """Prices and power of its GPUs, for money and energy per million queries."""
    start: TimeQuantity = quantity("0 s", TIME)
    """When the service opens; trace times count from here."""
    duration: TimeQuantity | None = None
    """Queries that arrive later than this after `start` are not sent. Give it, or `queries`, or both,
    unless the arrivals are a trace."""
    queries: Annotated[int, Field(ge=1)] | None = None
    """Send no more than this many queries."""
    warmup: TimeQuantity = quantity("0 s", TIME)
    """Queries that arrive earlier than this after `start` are served but not counted."""

    @property
    def pools(self) -> tuple[RankingPoolSpec, ...]:
        """Replicas of the service's own model, of each stage before it, and of an experiment's variant."""
        variant = () if self.experiment is None else (self.experiment.variant,)
        return (self, *self.stages, *variant)

    @model_validator(mode="after")
    def _stages_differ(self) -> Self:
        taken = {"rank": "the last stage", "variant": "the other model of an experiment"}
        for index, stage in enumerate(self.stages):
            if stage.name in taken:
                message = f"'{stage.name}' is the name of {taken[stage.name]}; take another"
                raise FieldError(message, "stages", index, "name")
            taken[stage.name] = f"stages[{index}]"
        shares = sum(stage.latency_share or 0.0 for stage in self.stages)
        if shares >= 1.0:
            message = f"'latency_share' of {shares:g} in all leaves nothing for the last stage"
            raise FieldError(message, "stages")
        return self

    @model_validator(mode="after")
    def _candidates_are_known(self) -> Self:
        if self.arrivals.kind == "trace":
            if self.candidates is not None:
                raise FieldError("a trace brings its own candidates; remove these", "candidates")
        elif self.candidates is None:
            raise FieldError(f"'{self.arrivals.kind}' arrivals need 'candidates'")
        return self

    @model_validator(mode="after")
    def _ends(self) -> Self:
        arrivals = self.arrivals
        if arrivals.kind != "trace" and self.duration is None and self.queries is None:
            raise ValueError("give 'duration' or 'queries', or the service never ends")
        if isinstance(arrivals, ClientArrivals) and arrivals.rate is not None and self.duration is None:
            raise FieldError("a 'rate' of clients is over the service's 'duration'; give it", "duration")
        return self
