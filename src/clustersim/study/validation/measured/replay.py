"""The requests of a measured run, sent to the simulated service of a scenario."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.errors import InputError, did_you_mean
from clustersim.spec.inference import InferenceSpec
from clustersim.spec.scenario import Scenario
from clustersim.study.runner import run
from clustersim.study.validation.framework import Row
from clustersim.study.validation.measured.measured_run import MeasuredRun, Sending
from clustersim.study.validation.measured.report import MeasuredRunReport
from clustersim.workloads.base import Outcome

__all__ = ["validate_run"]

_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "p99.9")


def validate_run(
    measured: MeasuredRun,
    scenario: Scenario,
    *,
    service: str | None = None,
    sending: Sending | None = None,
) -> MeasuredRunReport:
    """Send a measured run's requests to a scenario's service, and lay both side by side.

    Arrivals and lengths of the scenario are replaced: by times and lengths of the run where the file
    has them; else by how the requests were sent (rate and burstiness, or a number of clients
    that each wait for their answer) with the lengths in their order.

    Parameters
    ----------
    service
        Which service, where the scenario has several.
    sending
        How requests were sent, where the file does not say.

    Raises
    ------
    InputError
        Where no service is to be found, or nobody says how requests were sent.
    """
    name = _service(scenario, service)
    if sending is not None:
        measured = replace(measured, sending=sending)
    with tempfile.TemporaryDirectory() as folder:
        demand = _demand(measured, Path(folder) / "requests.csv")
        changes = {f"workloads.{name}.{field}": value for field, value in demand.items()}
        outcome = run(scenario.with_(**changes)).outcome(name)
    predicted = _predicted(outcome)
    return MeasuredRunReport(
        title=f"{measured.tool}, {len(measured.prompt):,} requests: measured, and predicted for '{name}'",
        rows=tuple(_rows(measured, predicted, outcome)),
        notes=(*measured.notes, *outcome.notes),
        measured=dict(measured.samples),
        predicted={key: values for key, (values, _) in predicted.items()},
        shares={key: shares for key, (_, shares) in predicted.items()},
    )


def _service(scenario: Scenario, wanted: str | None) -> str:
    names = [spec.name for spec in scenario.workloads if isinstance(spec, InferenceSpec)]
    if wanted is None:
        if len(names) == 1:
            return names[0]
        which = ", ".join(names) or "none"
        raise InputError(f"the scenario should have one service, or '--service' name it; it has {which}")
    if wanted not in names:
        raise InputError(f"the scenario has no service '{wanted}'.{did_you_mean(wanted, names)}")
    return wanted


def _demand(measured: MeasuredRun, path: Path) -> dict[str, Any]:
    """Fields of the service that send the run's requests."""
    requests = len(measured.prompt)
    common: dict[str, Any] = {"tenants": [], "duration": None, "requests": requests}
    sending, arrival_s = measured.sending, measured.arrival_s
    if arrival_s is None and sending.concurrency is None and sending.rate_per_s == math.inf:
        arrival_s = np.zeros(requests)
    _write(path, arrival_s if arrival_s is not None else np.zeros(requests), measured)
    if arrival_s is not None:
        return common | {"arrivals": {"kind": "trace", "path": str(path)}, "lengths": None}
    lengths = {"path": str(path), "order": "file"}
    if sending.concurrency is not None:
        arrivals: dict[str, Any] = {"kind": "closed-loop", "clients": sending.concurrency}
    elif sending.rate_per_s is not None:
        rate = f"{sending.rate_per_s!r} req/s"
        arrivals = {"kind": "gamma", "rate": rate, "cv": sending.burstiness**-0.5}
    else:
        raise InputError(
            "the file does not say when or how its requests were sent; give '--rate' (requests per second, "
            "or inf) or '--concurrency'"
        )
    return common | {"arrivals": arrivals, "lengths": lengths}


def _write(path: Path, arrival_s: np.ndarray, measured: MeasuredRun) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("arrived_at", "prompt", "output"))
        rows = zip(arrival_s.tolist(), measured.prompt.tolist(), measured.output.tolist(), strict=True)
        writer.writerows(rows)


def _predicted(outcome: Outcome) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Values of each latency and the share of samples at most that."""
    table = outcome.tables["requests"]
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        values = np.sort(table[name][np.isfinite(table[name])])
        found[name] = values, np.arange(1, len(values) + 1) / max(1, len(values))
    gaps = outcome.tables["inter_token"]
    found["itl_s"] = gaps["itl_s"], gaps["share"]
    return found


def _rows(
    measured: MeasuredRun, predicted: dict[str, tuple[np.ndarray, np.ndarray]], outcome: Outcome
) -> Iterable[Row]:
    for name, statistics in measured.statistics().items():
        for statistic in _STATISTICS:
            if statistic in statistics:
                value = _statistic(name, statistic, predicted[name], outcome)
                yield _row(f"{name[:-2]} {statistic}", name[:-2], "s", statistics[statistic], value)
    for name, value in measured.rates.items():
        yield _row(name, "throughput", "1/s", value, outcome.metrics.get(name))


def _statistic(
    name: str, statistic: str, distribution: tuple[np.ndarray, np.ndarray], outcome: Outcome
) -> float | None:
    """A metric of the simulation, or where there is none of that name a point of the distribution."""
    known = outcome.metrics.get(f"{name}.{statistic}")
    values, shares = distribution
    if known is not None or statistic == "mean" or not len(values):
        return known
    return float(values[np.searchsorted(shares, float(statistic[1:]) / 100.0).clip(0, len(values) - 1)])


def _row(name: str, group: str, unit: str, measured: float, predicted: float | None) -> Row:
    reason = "" if predicted is not None else "the simulation has no such value"
    return Row(name, group, unit, measured, predicted, reason)
