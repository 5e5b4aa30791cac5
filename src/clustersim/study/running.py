"""Many runs, spread over processes, each kept as soon as it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from clustersim.spec.scenario import Scenario
from clustersim.study.executor import call_all
from clustersim.study.records import RunRecord, RunStore, simulate

__all__ = ["run_all"]

Report = Callable[[Mapping[str, RunRecord], int], None]
"""Takes the runs that are done, by identity, and how many there will be."""


def run_all(
    scenarios: Sequence[Scenario], *, jobs: int, store: RunStore | None, report: Report
) -> list[RunRecord]:
    """Return the records of scenarios, in order; each distinct one runs at most once.

    Parameters
    ----------
    jobs
        Processes at once; 1 runs in this process.
    store
        What was run before is taken from here, and what is run now is kept here.
    report
        Called at the beginning and after every run.
    """
    identities = [scenario.content_hash() for scenario in scenarios]
    wanted = dict(zip(identities, scenarios, strict=True))
    found = {} if store is None else store.get_all(wanted)
    report(found, len(wanted))
    for identity, record in _run({key: each for key, each in wanted.items() if key not in found}, jobs):
        found[identity] = record
        if store is not None and record.identity == identity:  # not so if the library changed meanwhile
            store.put(record)
        report(found, len(wanted))
    return [found[identity] for identity in identities]


def _run(missing: Mapping[str, Scenario], jobs: int) -> Iterator[tuple[str, RunRecord]]:
    """Yield what each run is known by, and its record; a process that died is a record with the error."""
    keys, scenarios = list(missing), list(missing.values())
    for position, answer in call_all(simulate, scenarios, jobs=jobs):
        if isinstance(answer, Exception):
            error = f"{type(answer).__name__}: {answer}"
            answer = RunRecord(keys[position], scenarios[position].seed, error=error)
        yield keys[position], answer
