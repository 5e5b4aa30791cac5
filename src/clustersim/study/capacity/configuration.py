"""The configurations of a study: every combination of the values that are varied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from clustersim.errors import ClusterSimError, InputError, did_you_mean
from clustersim.spec.demand import scaled_load
from clustersim.spec.scenario import Scenario
from clustersim.study.capacity.service import SERVICE_KINDS, ServiceSpec, latencies_of

__all__ = ["Configuration", "configurations"]


@dataclass(frozen=True, eq=False)
class Configuration:
    """A variant of the scenario, and the service whose load is searched.

    Parameters
    ----------
    name
        What was varied: `tensor=2, model=llama-3.1-8b`; the scenario's own name where nothing is.
    changes
        Value by dotted path.
    scenario
        None where it cannot be made; `reason` says why.
    """

    name: str
    changes: Mapping[str, Any]
    service: str
    scenario: Scenario | None
    reason: str = ""

    @property
    def spec(self) -> ServiceSpec:
        """The service as the scenario describes it."""
        assert self.scenario is not None
        return next(
            spec
            for spec in self.scenario.workloads
            if isinstance(spec, ServiceSpec) and spec.name == self.service
        )

    def at(self, factor: float, seed: int) -> Scenario:
        """Return the scenario with this factor on the service's load."""
        assert self.scenario is not None
        workloads = tuple(
            scaled_load(spec, factor) if isinstance(spec, ServiceSpec) and spec.name == self.service else spec
            for spec in self.scenario.workloads
        )
        run = self.scenario.run.model_copy(update={"trace": False})
        return self.scenario.model_copy(update={"workloads": workloads, "run": run, "seed": seed})


def configurations(
    scenario: Scenario, *, service: str | None, vary: Mapping[str, Sequence[Any]]
) -> tuple[Configuration, ...]:
    """Return one configuration per combination of values, in the order of writing.

    Raises
    ------
    InputError
        If there is no such service, it has no objectives, or a path of `vary` leads nowhere in all
        combinations.
    """
    name = _service(scenario, service)
    paths = list(vary)
    found = tuple(
        _configuration(scenario, name, dict(zip(paths, values, strict=True)))
        for values in product(*vary.values())
    )
    refused = [configuration for configuration in found if configuration.scenario is None]
    if len(refused) == len(found):
        raise InputError(refused[0].reason)
    return found


def _configuration(scenario: Scenario, service: str, changes: Mapping[str, Any]) -> Configuration:
    name = ", ".join(
        f"{label}={value}" for label, value in zip(_labels(changes), changes.values(), strict=True)
    )
    empty = Configuration(name or scenario.name, changes, service, None)
    try:
        changed = scenario.with_(**changes) if changes else scenario
    except ClusterSimError as error:
        return replace(empty, reason=str(error))
    made = replace(empty, scenario=changed)
    _check_objectives(made.spec)
    return made


def _labels(paths: Iterable[str]) -> list[str]:
    """Return the last part of each path, or the whole path where parts would be alike."""
    last = [path.rpartition(".")[2] for path in paths]
    return last if len(set(last)) == len(last) else list(paths)


def _service(scenario: Scenario, name: str | None) -> str:
    services = [spec.name for spec in scenario.workloads if spec.kind in SERVICE_KINDS]
    if name is not None and name not in services:
        raise InputError(f"the scenario has no inference service '{name}'.{did_you_mean(name, services)}")
    if not services:
        raise InputError("the scenario has no inference service, so there is no load to search")
    if name is None and len(services) > 1:
        raise InputError(f"which service: {', '.join(services)}? Name it with --service")
    return name or services[0]


def _check_objectives(spec: ServiceSpec) -> None:
    latencies = latencies_of(spec)
    if all(latency.limit_s is None for latency in latencies):
        example = f"{{{latencies[0].objective}: 500 ms}}"
        raise InputError(
            f"'{spec.name}' has no objectives to keep; give workloads.{spec.name}.slo, e.g. {example}"
        )
