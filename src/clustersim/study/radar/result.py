"""What a radar found: a profile of each workload, as tables, text and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.engine.trace import COMPUTE, MEMORY_BANDWIDTH, NETWORK_LATENCY
from clustersim.errors import InputError, did_you_mean
from clustersim.results.attribution import NETWORK_BANDWIDTH
from clustersim.study.radar.capacity_elasticity import CapacityElasticity
from clustersim.study.radar.elasticity import MEMORY_CAPACITY
from clustersim.study.radar.memory_axis import MemoryAxis, ShadowPrice
from clustersim.study.radar.needs import Need
from clustersim.study.radar.reruns import Measured
from clustersim.study.radar.what_if import Curve
from clustersim.study.radar.workload import Subject

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.report.plots.radar import RadarPlots

__all__ = ["AXES", "Profile", "Radar"]

AXES = (COMPUTE, MEMORY_CAPACITY, MEMORY_BANDWIDTH, NETWORK_BANDWIDTH, NETWORK_LATENCY)
"""Axes of the radar, clockwise from the top."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Profile:
    """What one workload needs.

    Parameters
    ----------
    subject
        The workload and its scenario.
    elasticities
        Resource to its share of the workload's time; they sum to 1.
    need
        Per unit of work, and how well the devices are used.
    memory
        Devices that it needs for memory and for speed; None where they are not known.
    price
        What a tenth more or less memory is worth; None without reruns.
    measured
        Resource to the elasticity that reruns with it 5 % slower and faster found; empty without them.
    curves
        Resource to what multiples of it bring; empty without them.
    facts
        What the workload was found to be: GPUs, layout, …
    reasons
        Why reruns are missing, by what was changed.
    capacity
        What the highest load of a service depends on; None where it was not searched.
    """

    subject: Subject
    elasticities: Mapping[str, float]
    need: Need
    memory: MemoryAxis | None
    price: ShadowPrice | None
    measured: Mapping[str, Measured]
    curves: Mapping[str, Curve]
    facts: Mapping[str, float | str]
    reasons: Mapping[str, str]
    capacity: CapacityElasticity | None = None

    @property
    def label(self) -> str:
        """Name in tables and pictures."""
        return self.subject.label

    @property
    def gain(self) -> float | None:
        """Sum of the measured elasticities: 1 for a pace, more where faster service also shortens queues."""
        return math.fsum(each.elasticity for each in self.measured.values()) if self.measured else None

    @property
    def measured_shares(self) -> dict[str, float]:
        """The measured elasticities over their sum, to be held beside `elasticities`."""
        gain = self.gain
        return {name: each.elasticity / gain for name, each in self.measured.items()} if gain else {}

    @property
    def largest_difference(self) -> float | None:
        """Largest difference between a share and what reruns found for it; None without reruns."""
        found = self.measured_shares
        return max((abs(self.elasticities[name] - found[name]) for name in found), default=None)

    def radius(self, axis: str) -> float:
        """Return how far out the workload is on one of `AXES`, from 0 to 1.

        *Equation.* Its share of the time for a resource that has a speed; m / (1 + m) for memory capacity,
        where m is `Need.memory_per_flop`: a half says that the devices hold exactly as much as goes with
        the arithmetic that they do. 0 where m is not known.
        """
        if axis != MEMORY_CAPACITY:
            return self.elasticities[axis]
        per_flop = self.need.memory_per_flop
        return 0.0 if per_flop is None else per_flop / (1.0 + per_flop)


@dataclass(frozen=True, eq=False, kw_only=True)
class Radar:
    """Profiles of workloads.

    Parameters
    ----------
    profiles
        In the order that they were asked for.
    failed
        Label to why a workload has no profile.
    """

    profiles: tuple[Profile, ...]
    failed: Mapping[str, str]

    def __getitem__(self, label: str) -> Profile:
        """Return the profile of a workload.

        Raises
        ------
        InputError
            If there is none of this label.
        """
        for profile in self.profiles:
            if profile.label == label:
                return profile
        known = [profile.label for profile in self.profiles]
        raise InputError(f"the radar has no workload '{label}'.{did_you_mean(label, known)}")

    def frame(self) -> pd.DataFrame:
        """Return one row per workload and resource: share, measured elasticities and radius."""
        import pandas as pd

        return pd.DataFrame([row for profile in self.profiles for row in _resource_rows(profile)])

    def needs_frame(self) -> pd.DataFrame:
        """Return one row per workload: what a unit of work takes, and how well devices are used."""
        import pandas as pd

        return pd.DataFrame([_need_row(profile) for profile in self.profiles])

    def what_if_frame(self) -> pd.DataFrame:
        """Return one row per workload, resource and factor: the objective over that at factor 1."""
        import pandas as pd

        rows = [row for profile in self.profiles for row in _curve_rows(profile)]
        return pd.DataFrame(rows, columns=["workload", "resource", "factor", "gain", "reason"])

    def document(self) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        return {
            "workloads": [_document(profile) for profile in self.profiles],
            "failed": dict(self.failed),
        }

    def to_json(self) -> str:
        """Return `document()` as JSON text."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """Return `frame()` as CSV text."""
        return str(self.frame().to_csv(index=False))

    def summary(self, *, width: int = 100) -> str:
        """Return the findings as text for the terminal."""
        from clustersim.report.radar import summary

        return summary(self, width=width)

    @property
    def plot(self) -> RadarPlots:
        """Pictures: `radar.plot.radar()`, `radar.plot.what_if()`."""
        from clustersim.report.plots.radar import RadarPlots

        return RadarPlots(self)

    def save(self, directory: Path | str) -> Path:
        """Write `radar.json`, `summary.txt`, the tables as CSV, and the pictures.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        from clustersim.study.keeping import keep

        return keep(
            directory,
            what="radar",
            texts={"radar.json": self.to_json() + "\n", "summary.txt": self.summary()},
            frames={
                "elasticities": self.frame(),
                "needs": self.needs_frame(),
                "what-if": self.what_if_frame(),
            },
            pictures=self.plot.all(),
        )

    def _repr_png_(self) -> bytes:
        return self.plot.radar()._repr_png_()

    def __repr__(self) -> str:
        return f"<Radar of {', '.join(profile.label for profile in self.profiles)}>"


def _resource_rows(profile: Profile) -> Iterator[dict[str, Any]]:
    for resource, share in profile.elasticities.items():
        yield {
            "workload": profile.label,
            "purpose": profile.subject.purpose,
            "resource": resource,
            "elasticity": share,
            "measured": _elasticity(profile, resource),
            "of_capacity": profile.capacity and profile.capacity.elasticities.get(resource),
            "radius": profile.radius(resource) if resource in AXES else None,
        }
    yield {
        "workload": profile.label,
        "purpose": profile.subject.purpose,
        "resource": MEMORY_CAPACITY,
        "elasticity": None,
        "measured": None,
        "of_capacity": None,
        "radius": profile.radius(MEMORY_CAPACITY),
    }


def _elasticity(profile: Profile, resource: str) -> float | None:
    found = profile.measured.get(resource)
    return None if found is None else found.elasticity


def _need_row(profile: Profile) -> dict[str, Any]:
    need = profile.need
    return {
        "workload": profile.label,
        "purpose": profile.subject.purpose,
        **vars(need),
        "memory_per_flop": need.memory_per_flop,
        "memory_pressure": None if profile.memory is None else profile.memory.pressure,
        "memory_worth": None if profile.price is None else profile.price.elasticity,
    }


def _curve_rows(profile: Profile) -> Iterator[dict[str, Any]]:
    for resource, curve in profile.curves.items():
        for factor in sorted({*curve.gains, *curve.reasons}):
            yield {
                "workload": profile.label,
                "resource": resource,
                "factor": factor,
                "gain": curve.gains.get(factor),
                "reason": curve.reasons.get(factor, ""),
            }


def _document(profile: Profile) -> dict[str, Any]:
    need = _need_row(profile)
    return {
        "workload": need.pop("workload"),
        "purpose": need.pop("purpose"),
        "scenario": profile.subject.scenario.name,
        "objective": profile.subject.objective_words,
        "elasticities": dict(profile.elasticities),
        "radius": {axis: profile.radius(axis) for axis in AXES},
        "measured": {name: each.elasticity for name, each in profile.measured.items()},
        "gain": profile.gain,
        "capacity": None if profile.capacity is None else vars(profile.capacity),
        "need": need,
        "what_if": {
            resource: {f"{factor:g}": gain for factor, gain in curve.gains.items()}
            for resource, curve in profile.curves.items()
        },
        "reasons": dict(profile.reasons),
    }
