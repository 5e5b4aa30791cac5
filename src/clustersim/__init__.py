"""clustersim: AI clusters simulated by discrete events.

>>> import clustersim as cs
>>> scenario = cs.load("scenarios/ddp-and-chat-on-one-fabric.yaml")
>>> result = cs.run(scenario, seed=1)                # doctest: +SKIP
>>> print(result.summary())                          # doctest: +SKIP

The names below are loaded on first use, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustersim.engine.fabric import replay_flows as replay_flows
    from clustersim.engine.world import World as World
    from clustersim.errors import CannotRunError as CannotRunError
    from clustersim.errors import CatalogError as CatalogError
    from clustersim.errors import ClusterSimError as ClusterSimError
    from clustersim.errors import InputError as InputError
    from clustersim.results import Result as Result
    from clustersim.spec.load import load as load
    from clustersim.spec.scenario import Scenario as Scenario
    from clustersim.study.capacity import Capacity as Capacity
    from clustersim.study.capacity import capacity as capacity
    from clustersim.study.compare import Comparison as Comparison
    from clustersim.study.compare import compare as compare
    from clustersim.study.explain import Explanation as Explanation
    from clustersim.study.explain import explain as explain
    from clustersim.study.plan import Plan as Plan
    from clustersim.study.plan import plan as plan
    from clustersim.study.radar import Radar as Radar
    from clustersim.study.radar import radar as radar
    from clustersim.study.runner import run as run

_HOME = {
    "Capacity": "study.capacity",
    "CannotRunError": "errors",
    "CatalogError": "errors",
    "ClusterSimError": "errors",
    "Comparison": "study.compare",
    "Explanation": "study.explain",
    "InputError": "errors",
    "Plan": "study.plan",
    "Radar": "study.radar",
    "Result": "results",
    "Scenario": "spec.scenario",
    "World": "engine.world",
    "capacity": "study.capacity",
    "compare": "study.compare",
    "explain": "study.explain",
    "load": "spec.load",
    "plan": "study.plan",
    "radar": "study.radar",
    "replay_flows": "engine.fabric",
    "run": "study.runner",
}
_PACKAGES = ("catalog", "collectives", "cost", "engine", "topology", "units", "workloads")

__all__ = [*_HOME, *_PACKAGES, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("clustersim")
    if name in _HOME:
        return getattr(import_module(f"clustersim.{_HOME[name]}"), name)
    if name in _PACKAGES:
        return import_module(f"clustersim.{name}")
    raise AttributeError(f"module 'clustersim' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
