"""Which workloads a radar is of, what each is for, and by what it is measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clustersim.errors import InputError, did_you_mean
from clustersim.spec import shipped, yaml_io
from clustersim.spec.load import load
from clustersim.spec.scenario import Scenario
from clustersim.study.records import RunRecord

__all__ = ["SHIPPED", "Purpose", "Scenarios", "Subject", "shipped_scenarios", "subjects"]

Purpose = Literal["training", "inference"]
Scenarios = (
    Scenario | Path | str | Sequence[Scenario | Path | str] | Mapping[str, Scenario | Path | str] | None
)
"""One scenario or file, several, or several by the label that each gets; None: the shipped ones."""

SHIPPED: Mapping[str, str] = {
    "LLM training": "llm-training",
    "LLM prefill": "llm-prefill",
    "LLM decode": "llm-decode",
    "ranking training": "ranking-training",
    "ranking inference": "ranking-inference",
}
"""Label to file of the shipped scenarios, all on the same cluster; docs/radar.md says why these."""

_FOLDER = "radar"
_TIME_OF_REQUEST = ("e2e_s.mean", "latency_s.mean")


@dataclass(frozen=True, eq=False)
class Subject:
    """A workload of a scenario, under the label that it has in tables and pictures.

    Parameters
    ----------
    label
        Unique within a radar.
    scenario
        In which it runs, perhaps beside others.
    workload
        Its name there.
    """

    label: str
    scenario: Scenario
    workload: str

    @property
    def spec(self) -> object:
        """The workload as the scenario describes it."""
        return next(spec for spec in self.scenario.workloads if spec.name == self.workload)

    @property
    def purpose(self) -> Purpose:
        """Whether it answers requests or trains."""
        kind = next(spec.kind for spec in self.scenario.workloads if spec.name == self.workload)
        return "inference" if kind.endswith("inference") else "training"

    @property
    def open_loop(self) -> bool:
        """Whether requests come at their own pace, so that a faster cluster does not answer more of them."""
        if self.purpose == "training":
            return False
        arrivals = getattr(self.spec, "arrivals", None)
        return getattr(arrivals, "kind", "") != "closed-loop"

    @property
    def objective_words(self) -> str:
        """What is looked at when a resource changes."""
        return "speed of a request (1 / its mean time)" if self.open_loop else "units of work per second"

    def objective(self, record: RunRecord) -> float | None:
        """Return what the workload reached in a run, larger being better; None where it reached nothing.

        *Equation.* Units of work per second, for training and for services with a fixed number of clients;
        the inverse of the mean time of a request where requests come at their own pace.
        """
        metrics = record.metrics.get(self.workload, {})
        if not self.open_loop:
            return metrics.get("work.units_per_s") or None
        time_s = next((metrics[name] for name in _TIME_OF_REQUEST if metrics.get(name)), None)
        return None if time_s is None else 1.0 / time_s


def shipped_scenarios() -> dict[str, Scenario]:
    """Return the five scenarios that a radar is of where none is named, by label.

    They are those of the library, whatever lies in the working folder.

    Raises
    ------
    InputError
        If the library was installed without them.
    """
    folder = shipped.folder("scenarios")
    if folder is None:
        raise InputError("the shipped scenarios are not there; name scenario files")
    return {label: _shipped(folder, f"{_FOLDER}/{name}.yaml") for label, name in SHIPPED.items()}


def _shipped(folder: Path, name: str) -> Scenario:
    """Load a shipped file under the name that it has for users, wherever the library lies."""
    path = folder / name
    return Scenario.from_document(yaml_io.read(path, label=f"scenarios/{name}"), base_dir=path.parent)


def subjects(scenarios: Scenarios, *, workloads: Iterable[str] = ()) -> tuple[Subject, ...]:
    """Return every workload of the scenarios, in their order, or those of the names in `workloads`.

    Raises
    ------
    InputError
        For a file that is not there, two workloads of the same label, and a name that no scenario has.
    """
    found = [subject for label, scenario in _labelled(scenarios) for subject in _of_scenario(label, scenario)]
    if not found:
        raise InputError("there is no scenario, so there is no workload to draw; give at least one")
    wanted = list(workloads)
    names = [subject.workload for subject in found]
    for name in wanted:
        if name not in names:
            raise InputError(f"no scenario has a workload '{name}'.{did_you_mean(name, names)}")
    found = [subject for subject in found if not wanted or subject.workload in wanted]
    labels = [subject.label for subject in found]
    for place, label in enumerate(labels):
        if label in labels[:place]:
            raise InputError(
                f"two workloads are called '{label}'; give their scenarios labels (or other names)"
            )
    return tuple(found)


def _labelled(scenarios: Scenarios) -> Iterator[tuple[str, Scenario]]:
    """Yield label and scenario; the label is empty where nobody gave one."""
    if scenarios is None:
        yield from shipped_scenarios().items()
    elif isinstance(scenarios, Mapping):
        yield from ((label, _scenario(each)) for label, each in scenarios.items())
    else:
        several = [scenarios] if isinstance(scenarios, Scenario | Path | str) else scenarios
        yield from (("", _scenario(each)) for each in several)


def _scenario(given: Scenario | Path | str) -> Scenario:
    return given if isinstance(given, Scenario) else load(given)


def _of_scenario(label: str, scenario: Scenario) -> Iterator[Subject]:
    """Yield the workloads of a scenario: labelled as it is where there is one, else with their names."""
    alone = len(scenario.workloads) == 1
    for spec in scenario.workloads:
        if alone:
            yield Subject(label or scenario.name, scenario, spec.name)
        else:
            yield Subject(f"{label}: {spec.name}" if label else spec.name, scenario, spec.name)
