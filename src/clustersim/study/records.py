"""What a study keeps of each run, and the folder that it keeps it in."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from clustersim.errors import ClusterSimError
from clustersim.results import Ending, by_class
from clustersim.results.atomic import write_text
from clustersim.spec.scenario import Scenario

__all__ = ["RunRecord", "RunStore", "simulate"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one scenario with one seed: its metrics, or why there are none.

    Parameters
    ----------
    identity
        Hash of all that affects the result.
    seed
        That it ran with.
    kinds
        Workload to its kind.
    metrics
        Workload (and `fabric`) to metric to value, in SI units.
    shares
        Workload to the shares of its time by class of resource.
    facts
        Workload to what it was found to be.
    error
        Why the run failed; empty where it did not.
    """

    identity: str
    seed: int
    kinds: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    simulated_s: float = 0.0
    wall_s: float = 0.0
    error: str = ""


def simulate(scenario: Scenario) -> RunRecord:
    """Run a scenario and keep its metrics; a failure becomes the record's `error`.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C stopped the run: half a run must not count as one.
    """
    from clustersim.study import runner

    identity = scenario.content_hash()
    try:
        result = runner.run(scenario)
    except Exception as error:
        # One run of many: whatever went wrong in it must not cost the others.
        return RunRecord(identity, scenario.seed, error=_reason(error))
    if not result.complete:
        if result.ending is Ending.INTERRUPTED:
            raise KeyboardInterrupt
        reason = "; ".join(result.notes)
        return RunRecord(identity, scenario.seed, error=f"stopped before its end: {reason}")
    outcomes = result.outcomes
    return RunRecord(
        identity,
        scenario.seed,
        kinds={name: outcome.kind for name, outcome in outcomes.items()},
        metrics=result.metrics(),
        shares={name: by_class(outcome.causes or outcome.attribution) for name, outcome in outcomes.items()},
        facts={name: dict(outcome.facts) for name, outcome in outcomes.items()},
        simulated_s=result.simulated_s,
        wall_s=result.wall_s,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ClusterSimError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"


class RunStore:
    """A folder with one JSON file per finished run, by identity; running again resumes.

    Failed runs are not kept, so that they are tried again.

    Checked by: tests/study/test_compare.py, which kills a study in the middle.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def get(self, identity: str) -> RunRecord | None:
        """Return a kept run; None where there is none, or a file that cannot be read."""
        try:
            loaded = json.loads(self._path(identity).read_text(encoding="utf-8"))
            record = RunRecord(**loaded)
        except (OSError, ValueError, TypeError):
            return None
        return record if record.identity == identity else None

    def get_all(self, identities: Iterable[str]) -> dict[str, RunRecord]:
        """Return the kept ones of several runs."""
        found = ((identity, self.get(identity)) for identity in identities)
        return {identity: record for identity, record in found if record is not None}

    def put(self, record: RunRecord) -> None:
        """Keep a run, whole or not at all."""
        if not record.error:
            write_text(self._path(record.identity), json.dumps(asdict(record), indent=1) + "\n")

    def _path(self, identity: str) -> Path:
        return self.directory / f"{identity}.json"
