"""What a run gives back: immutable, with the scenario, seed, version and hash it came from.

Pictures and terminal text are made one layer up, in `clustersim.report`, which imports this
one. A result offers them because a user looks for them here; the three methods that do so
import what they need when they are called, so that no import goes upwards at load time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.errors import InputError, did_you_mean
from clustersim.results.attribution import Segment
from clustersim.results.columns import FABRIC
from clustersim.results.ending import Ending
from clustersim.results.fabric_report import FabricReport
from clustersim.results.flow_rates import FlowRates
from clustersim.results.frozen import FrozenMapping, frozen_outcome
from clustersim.results.pessimism_note import pessimism_note

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.engine.pessimism import PessimisticCollectives
    from clustersim.engine.trace import Activity
    from clustersim.engine.world import World
    from clustersim.report.plots import ResultPlots
    from clustersim.spec.scenario import Scenario
    from clustersim.topology import Topology
    from clustersim.workloads.base import Outcome

__all__ = ["Result"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """The outcome of one run.

    Parameters
    ----------
    scenario
        As it ran, with the seed that it ran with.
    seed
        Root of all randomness.
    version
        Of clustersim.
    content_hash
        Of all that decides the result (`Scenario.content_hash`).
    ending
        Whether the run came to its end, was interrupted or stalled; what is here happened
        until then.
    outcomes
        By workload name.
    fabric
        What the links carried.
    trace
        Every activity; empty where the scenario says `run.trace: false`.
    flows
        Rates of flows over time; empty unless the run was asked to keep them.
    simulated_s, wall_s
        Simulated time, and the time that it took.
    pessimistic_collectives
        Those that may be too slow, because they ran as fluids beside small transfers; the worst first.
    notes
        Sentences a reader must know.
    """

    scenario: Scenario
    seed: int
    version: str
    content_hash: str
    ending: Ending
    outcomes: Mapping[str, Outcome]
    fabric: FabricReport
    simulated_s: float
    wall_s: float
    trace: Sequence[Activity] = ()
    flows: FlowRates = field(default_factory=FlowRates)
    pessimistic_collectives: tuple[PessimisticCollectives, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        frozen = {name: frozen_outcome(outcome) for name, outcome in self.outcomes.items()}
        object.__setattr__(self, "outcomes", FrozenMapping(frozen))
        object.__setattr__(self, "trace", tuple(self.trace))
        object.__setattr__(self, "notes", tuple(self.notes))

    @classmethod
    def collect(
        cls,
        *,
        scenario: Scenario,
        world: World,
        outcomes: Sequence[Outcome],
        version: str,
        ending: Ending,
        why: str,
        wall_s: float,
    ) -> Result:
        """Make the result of a world whose time has come to an end.

        `why` says why it ended early, and is empty where it did not.
        """
        names = [outcome.name for outcome in outcomes]
        flows = FlowRates.of_world(world, workloads=names)
        pessimistic = world.pessimism.collectives
        return cls(
            scenario=scenario,
            seed=world.seed,
            version=version,
            content_hash=scenario.content_hash(),
            ending=ending,
            outcomes={outcome.name: outcome for outcome in outcomes},
            fabric=FabricReport.of_world(world, workloads=names),
            trace=world.trace.rows,
            simulated_s=float(world.env.now),
            wall_s=wall_s,
            flows=flows,
            pessimistic_collectives=pessimistic,
            notes=tuple(note for note in (why, flows.note, pessimism_note(pessimistic)) if note),
        )

    @property
    def complete(self) -> bool:
        """Whether the run came to its end; else this is what had happened until it was stopped."""
        return self.ending is Ending.COMPLETE

    # What happened ------------------------------------------------------------------

    def outcome(self, name: str) -> Outcome:
        """Return what one workload did.

        Raises
        ------
        InputError
            If no workload has this name.
        """
        if name not in self.outcomes:
            raise InputError(f"no workload is named '{name}'.{did_you_mean(name, self.outcomes)}")
        return self.outcomes[name]

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return all metrics: workload (and `fabric`) to metric to value, in SI units."""
        nested = {
            name: {metric: float(value) for metric, value in outcome.metrics.items()}
            for name, outcome in self.outcomes.items()
        }
        return {**nested, FABRIC: self.fabric.metrics()}

    def provenance(self) -> dict[str, str | int | bool]:
        """Return where the numbers come from: scenario, seed, version, hash, whether complete."""
        return {
            "scenario": self.scenario.name,
            "seed": self.seed,
            "version": self.version,
            "content_hash": self.content_hash,
            "complete": self.complete,
        }

    def table(self, name: str, table: str) -> pd.DataFrame:
        """Return one table of a workload; `attrs` carries the provenance.

        Raises
        ------
        InputError
            For a workload or table that is not there.
        """
        from clustersim.results.frames import table_frame

        return table_frame(self, name, table)

    def requests(self, name: str) -> pd.DataFrame:
        """Return one row per request of an inference service."""
        return self.table(name, "requests")

    def queries(self, name: str) -> pd.DataFrame:
        """Return one row per query of a ranking service."""
        return self.table(name, "queries")

    def iterations(self, name: str) -> pd.DataFrame:
        """Return one row per iteration of a training job."""
        return self.table(name, "iterations")

    def links(self) -> pd.DataFrame:
        """Return one row per link that carried anything, busiest first."""
        from clustersim.results.frames import links_frame

        return links_frame(self)

    def sharing(self) -> pd.DataFrame:
        """Return one row per link, workload and kind of traffic: who shared which link."""
        from clustersim.results.frames import sharing_frame

        return sharing_frame(self)

    def to_frame(self) -> pd.DataFrame:
        """Return all metrics as one tidy frame: workload, metric, value, unit."""
        from clustersim.results.frames import metrics_frame

        return metrics_frame(self)

    # Why ----------------------------------------------------------------------------

    def attribution(self, name: str) -> Mapping[str, float]:
        """Return each resource's share of a workload's time; the shares add up to 1.

        Links stand apart (`network_bandwidth:leaf0>spine1`); `clustersim.results.by_class`
        adds them up.
        """
        return self.outcome(name).attribution

    def critical_path(
        self, name: str, *, iteration: int | None = None, request: int | None = None
    ) -> tuple[Segment, ...]:
        """Return the chain of activities that fixed the end of one iteration or one request.

        Raises
        ------
        InputError
            If neither or both are given, there is no such iteration or request, or the run
            kept no trace.
        """
        from clustersim.results.paths import iteration_path, request_path

        outcome = self.outcome(name)
        if (iteration is None) == (request is None):
            raise InputError("give either 'iteration' or 'request'")
        if iteration is not None:
            return iteration_path(self.trace, outcome, iteration)
        assert request is not None
        return request_path(self.trace, outcome, request)

    def topology(self) -> Topology:
        """Return the cluster's topology, built again from the scenario as it ran.

        A result keeps no graph: the scenario decides it, and building takes 0.2 s for 1,024 GPUs.

        Raises
        ------
        InputError
            If files that the scenario names are gone, or describe other links than those that
            carried data.
        """
        from clustersim.topology import build

        scenario = self.scenario
        built = build(scenario.cluster, base=scenario.base_dir, seed=scenario.seed)
        unknown = set(self.fabric.names).difference(built.link_names)
        if unknown:
            raise InputError(
                f"the scenario no longer describes the cluster that ran: there is no link '{min(unknown)}'"
            )
        return built

    def bottlenecks(self) -> dict[str, str]:
        """Return one sentence per workload, and for the fabric: what took the time."""
        from clustersim.results.bottleneck import fabric_sentence, workload_sentence

        sentences = {name: workload_sentence(outcome, self.fabric) for name, outcome in self.outcomes.items()}
        return {**sentences, FABRIC: fabric_sentence(self.fabric, self.outcomes.values())}

    # To look at and to keep ---------------------------------------------------------

    def summary(self, *, width: int = 100) -> str:
        """Return the summary that the command line prints, at most `width` columns wide."""
        from clustersim.report.terminal import summary

        return summary(self, width=width)

    @cached_property
    def plot(self) -> ResultPlots:
        """Pictures: `result.plot.latency_cdf("chat")`; each returns a matplotlib figure."""
        from clustersim.report.plots import ResultPlots

        return ResultPlots(self)

    def document(self) -> dict[str, Any]:
        """Return provenance, metrics, attribution, busiest links and notes, JSON-able."""
        from clustersim.results.saving import document

        return document(self)

    def to_json(self) -> str:
        """Return `document()` as JSON text, the content of `metrics.json`."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False)

    def to_perfetto(self, path: Path | str) -> Path:
        """Write the trace as Chrome trace JSON for ui.perfetto.dev (`.gz`: compressed)."""
        from clustersim.results.perfetto import write_perfetto

        return write_perfetto(self, path)

    def save(self, directory: Path | str, *, formats: Sequence[str] = ("csv",)) -> Path:
        """Keep everything in a folder: scenario, metrics, tables, pictures and the trace.

        Parameters
        ----------
        directory
            Made if absent; files of the same names are replaced.
        formats
            Of the tables: `csv`, `parquet` or both.

        Raises
        ------
        InputError
            For an unknown format, or `parquet` without pyarrow.
        """
        from clustersim.results.saving import save

        return save(self, directory, formats=formats)

    def _repr_html_(self) -> str:
        from clustersim.report.html import result_card

        return result_card(self)

    def __repr__(self) -> str:
        state = "" if self.complete else ", PARTIAL"
        names = ", ".join(self.outcomes)
        return (
            f"<Result of '{self.scenario.name}': {names}; {self.simulated_s:.6g} s, seed {self.seed}{state}>"
        )
