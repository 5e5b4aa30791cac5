"""`result.plot` and `comparison.plot`: the pictures as methods, loaded on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from clustersim.report.style import Picture
    from clustersim.results import Result
    from clustersim.study.comparison import Comparison
    from clustersim.study.plan import Plan

__all__ = ["ComparisonPlots", "PlanPlots", "ResultPlots"]


@dataclass(frozen=True)
class ResultPlots:
    """Pictures of one result; each method returns a matplotlib figure.

    A figure shows itself in a notebook; `.save("name.png")` writes it, and its `axes` can be
    changed before that.
    """

    result: Result

    def iteration_breakdown(self, name: str) -> Picture:
        """Draw the parts of each iteration of a training job as stacked bars."""
        from clustersim.report.plots.iteration_breakdown import iteration_breakdown

        return iteration_breakdown(self.result, name)

    def pipeline(self, name: str, *, replica: int = 0) -> Picture:
        """Draw the passes of each pipeline stage in the last iteration of a training job.

        Parameters
        ----------
        replica
            Which lane of each stage; 0 alone where replicas were folded.
        """
        from clustersim.report.plots.pipeline import pipeline

        return pipeline(self.result, name, replica=replica)

    def ranks(self, name: str) -> Picture:
        """Draw what each rank of a ranking job looks up, and the parts of its step."""
        from clustersim.report.plots.ranks import ranks

        return ranks(self.result, name)

    def memory(self, name: str) -> Picture:
        """Draw what fills the memory of the GPUs of each stage, or rank, of a training job."""
        from clustersim.report.plots.memory import memory

        return memory(self.result, name)

    def latency_cdf(self, name: str) -> Picture:
        """Draw the distributions of the latencies of a service, of requests or of queries."""
        from clustersim.report.plots.latency_cdf import latency_cdf

        return latency_cdf(self.result, name)

    def latency_timeline(self, name: str) -> Picture:
        """Draw the latency of each request, or query, over the time of its arrival."""
        from clustersim.report.plots.latency_timeline import latency_timeline

        return latency_timeline(self.result, name)

    def query_time(self, name: str, *, by: str = "resource") -> Picture:
        """Draw where the time of the queries of a ranking service goes, of all and of the slowest.

        Parameters
        ----------
        by
            `resource`, or `stage` for a service whose queries go through several pools.
        """
        from clustersim.report.plots.query_time import query_time

        return query_time(self.result, name, by=by)

    def batches(self, name: str, *, pool: str | None = None) -> Picture:
        """Draw how large the batches of a ranking service are, and how long they take.

        Parameters
        ----------
        pool
            Of a service with several: which one. Default: all together.
        """
        from clustersim.report.plots.batches import batches

        return batches(self.result, name, pool=pool)

    def kv_occupancy(self, name: str) -> Picture:
        """Draw how full the KV cache was, and the batch, over time and by replica."""
        from clustersim.report.plots.kv_occupancy import kv_occupancy

        return kv_occupancy(self.result, name)

    def engine_use(self, name: str) -> Picture:
        """Draw how many requests waited, and how well FLOPs and memory bandwidth were used, over time."""
        from clustersim.report.plots.engine_use import engine_use

        return engine_use(self.result, name)

    def cache_hits(self, name: str) -> Picture:
        """Draw which share of the prompts a prefix cache found, over time."""
        from clustersim.report.plots.cache_hits import cache_hits

        return cache_hits(self.result, name)

    def link_utilization(self, *, links: int = 24) -> Picture:
        """Draw the busiest links over time as a heat map, grouped by tier."""
        from clustersim.report.plots.link_utilization import link_utilization

        return link_utilization(self.result, links=links)

    def fabric(self, *, load: str = "mean", at_s: float | None = None, labels: int = 6) -> Picture:
        """Draw the topology with each link coloured and thickened by its load.

        Parameters
        ----------
        load
            `mean` utilisation over the run, or `peak`: the largest bin of each link.
        at_s
            In place of that: the bin of the time series that holds this time.
        labels
            How many of the most loaded lines are numbered, and listed under the drawing.
        """
        from clustersim.report.plots.fabric import fabric

        return fabric(self.result, load=load, at_s=at_s, labels=labels)

    def flow_rates(
        self, name: str, *, start_s: float | None = None, end_s: float | None = None, panels: int = 4
    ) -> Picture:
        """Draw how fast a workload's flows ran over time, shaded by what held them back.

        One panel for each of the routes with most bytes. It needs a run with `keep_rates=True`.

        Parameters
        ----------
        start_s, end_s
            Part of the run to show. Default: all of it.
        panels
            Routes to show at most.
        """
        from clustersim.report.plots.flow_rates import flow_rates

        return flow_rates(self.result, name, start_s=start_s, end_s=end_s, panels=panels)

    def gantt(self, name: str, *, iteration: int | None = None, request: int | None = None) -> Picture:
        """Draw what each stream did during one iteration or request, and the critical path.

        Without a number: the iteration in the middle of a training job.
        """
        from clustersim.report.plots.gantt import gantt

        return gantt(self.result, name, iteration=iteration, request=request)

    def attribution(self) -> Picture:
        """Draw which resources took each workload's time."""
        from clustersim.report.plots.attribution import attribution

        return attribution(self.result)

    def all(self) -> Iterator[tuple[str, Picture]]:
        """Yield file name and picture of everything that this result has data for."""
        if any(outcome.attribution for outcome in self.result.outcomes.values()):
            yield "attribution", self.attribution()
        if self.result.fabric.names and self.result.fabric.utilization.shape[1]:
            yield "link_utilization", self.link_utilization()
            yield "fabric", self.fabric()
        for name in self.result.outcomes:
            for kind, draw in self._of_workload(name):
                yield f"{name}.{kind}", draw(name)

    def _of_workload(self, name: str) -> Iterator[tuple[str, Callable[[str], Picture]]]:
        tables = self.result.outcomes[name].tables
        rows = {table: len(next(iter(columns.values()), ())) for table, columns in tables.items()}
        if rows.get("iterations"):
            yield "iteration_breakdown", self.iteration_breakdown
            if rows.get("passes") and int(tables["passes"]["stage"].max()) > 0:
                yield "pipeline", self.pipeline
            if self.result.trace:
                yield "gantt", self.gantt
        if rows.get("memory"):
            yield "memory", self.memory
        kind = self.result.outcomes[name].kind
        if kind == "ranking-training" and rows.get("ranks", 0) > 1 and rows.get("iterations"):
            yield "ranks", self.ranks
        if rows.get("requests") and "e2e_s.mean" in self.result.outcomes[name].metrics:
            yield "latency_cdf", self.latency_cdf
            yield "latency_timeline", self.latency_timeline
        if rows.get("steps"):
            yield "kv_occupancy", self.kv_occupancy
            yield "engine_use", self.engine_use
        if rows.get("kv_cache"):
            yield "cache_hits", self.cache_hits
        if rows.get("queries") and "latency_s.mean" in self.result.outcomes[name].metrics:
            yield from self._of_queries(tables)
        if any(series.workload == name for series in self.result.flows.series):
            yield "flow_rates", self.flow_rates

    def _of_queries(
        self, tables: Mapping[str, Mapping[str, np.ndarray]]
    ) -> Iterator[tuple[str, Callable[[str], Picture]]]:
        yield "latency_cdf", self.latency_cdf
        yield "latency_timeline", self.latency_timeline
        yield "query_time", self.query_time
        if "visits" not in tables:
            yield "batches", self.batches
            return
        yield "stages", partial(self.query_time, by="stage")
        for pool in dict.fromkeys(tables["batches"]["pool"].tolist()):
            yield f"batches.{pool}", partial(self.batches, pool=pool)


@dataclass(frozen=True)
class ComparisonPlots:
    """Pictures of a comparison."""

    comparison: Comparison

    def change(self, *, metrics: Sequence[str] | None = None) -> Picture:
        """Draw the change of each headline metric with its confidence interval."""
        from clustersim.report.plots.change import change

        return change(self.comparison, metrics=metrics)

    def all(self) -> Iterator[tuple[str, Picture]]:
        """Yield file name and picture of all that there is."""
        yield "change", self.change()


@dataclass(frozen=True)
class PlanPlots:
    """Pictures of a plan."""

    plan: Plan

    def trade_off(self) -> Picture:
        """Draw every layout's time against its memory, and the Pareto front."""
        from clustersim.report.plots.trade_off import trade_off

        return trade_off(self.plan)

    def all(self) -> Iterator[tuple[str, Picture]]:
        """Yield file name and picture of all that there is."""
        yield "trade-off", self.trade_off()
