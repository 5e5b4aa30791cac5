"""Many clients, each a renewal process of its own with windows of constant rate.

The form of ServeGen (Xiang et al., NSDI 2026; github.com/alibaba/ServeGen): the load of a production
service is a mixture of some tens of clients whose rates and burstiness differ, and change by the
hour; one process of the same mean rate is far smoother than their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clustersim.catalog.client_mixtures import SHELF, ClientMixture
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.arrivals import ClientArrivals
from clustersim.workloads.serving.csv_rows import read_rows
from clustersim.workloads.serving.gaps import GammaGaps, Gaps, WeibullGaps

__all__ = ["Client", "Clients", "client_times", "clients_of", "read_clients"]

_HOUR_S = 3600.0
Streams = Callable[[int, int], np.random.Generator]
"""Random stream of a client and a window, by their numbers."""


@dataclass(frozen=True, eq=False)
class Client:
    """Rates and gaps of one client, window after window; nothing arrives between windows.

    Parameters
    ----------
    number
        Which client.
    start_s, length_s
        When windows begin, and how long each is.
    rate_per_s
        In each window.
    gaps
        Distribution of the gaps in each window, of mean 1.
    """

    number: int
    start_s: np.ndarray
    length_s: float
    rate_per_s: np.ndarray
    gaps: Sequence[Gaps]

    def expected(self, begin_s: float, end_s: float) -> float:
        """Return the requests to be expected between two times."""
        return float((self.rate_per_s * self._inside_s(begin_s, end_s)).sum())

    def times(self, streams: Streams, *, begin_s: float, end_s: float, factor: float) -> np.ndarray:
        """Return arrival times between two times, sorted, with all rates multiplied by `factor`.

        *Equation.* On the client's own clock, on which its rate is 1, each gap has the distribution
        of the window in which it begins. The first arrival is that of a process that began long ago.
        """
        spans = self.rate_per_s * self._inside_s(begin_s, end_s) * factor
        bounds = np.concatenate([[0.0], np.cumsum(spans)])
        found: list[np.ndarray] = []
        place: float | None = None
        for window in np.flatnonzero(spans).tolist():
            if place is not None and place >= bounds[window + 1]:
                continue
            rng = streams(self.number, round(self.start_s[window] / self.length_s))
            gaps = self.gaps[window]
            place = gaps.first(rng) if place is None else place
            places, place = _renewals(gaps, rng, place, bounds[window + 1])
            opened_s = max(begin_s, self.start_s[window])
            found.append(opened_s + (places - bounds[window]) / (self.rate_per_s[window] * factor))
        return np.concatenate(found) if found else np.empty(0)

    def _inside_s(self, begin_s: float, end_s: float) -> np.ndarray:
        """Seconds of each window between two times."""
        inside: np.ndarray = np.minimum(self.start_s + self.length_s, end_s) - np.maximum(
            self.start_s, begin_s
        )
        return inside.clip(0.0)


def _renewals(gaps: Gaps, rng: np.random.Generator, first: float, end: float) -> tuple[np.ndarray, float]:
    """Places of arrivals from `first` to before `end`, and of the one after."""
    if first >= end:
        return np.empty(0), first
    places = np.array([first])
    while places[-1] < end:
        count = int(1.2 * (end - places[-1])) + 16
        places = np.concatenate([places, places[-1] + np.cumsum(gaps.draw(rng, count))])
    inside = int(np.searchsorted(places, end))
    return places[:inside], float(places[inside])


@dataclass(frozen=True)
class Clients:
    """A mixture, for as long as its data go.

    Parameters
    ----------
    until
        Gives the clients with their windows up to a time.
    end_s
        When the data end; infinite where they repeat every day.
    """

    until: Callable[[float], Sequence[Client]]
    end_s: float


def client_times(
    clients: Clients,
    spec: ClientArrivals,
    *,
    streams: Streams,
    requests: int | None,
    duration_s: float | None,
) -> np.ndarray:
    """Return arrival times of all clients in seconds from the service's start, sorted.

    Each client and window has a random stream of its own, so that the n-th gap in a window is the
    same at every rate.

    Raises
    ------
    InputError
        Where no client sends anything in that part of the data.

    **Checked by:** tests/workloads/test_inference_clients.py.
    """
    begin_s = spec.window_start
    span_s = duration_s if duration_s is not None else _HOUR_S
    while True:
        end_s = min(begin_s + span_s, clients.end_s)
        members = clients.until(end_s)
        factor = _factor(spec, members, begin_s, end_s)
        times = [client.times(streams, begin_s=begin_s, end_s=end_s, factor=factor) for client in members]
        merged = np.sort(np.concatenate(times)) - begin_s
        if duration_s is not None or end_s == clients.end_s or len(merged) >= (requests or 0):
            return merged if requests is None else merged[:requests]
        span_s *= 2.0


def _factor(spec: ClientArrivals, clients: Sequence[Client], begin_s: float, end_s: float) -> float:
    expected = sum(client.expected(begin_s, end_s) for client in clients)
    if expected <= 0.0:
        message = f"no client sends anything between {begin_s:g} and {end_s:g} s of the data"
        raise InputError(Problem(("arrivals", "window_start"), message))
    if spec.rate is None:
        return spec.rate_scale
    return spec.rate_scale * spec.rate * (end_s - begin_s) / expected


def clients_of(spec: ClientArrivals, *, base: Path | None) -> Clients:
    """Return the mixture that a spec names.

    Raises
    ------
    InputError
        For a table that the catalogue does not hold, and a file that cannot be read.
    """
    if spec.path is not None:
        return read_clients((base or Path()) / spec.path)
    try:
        mixture = SHELF.get(spec.table or "")
    except CatalogError as error:
        raise InputError(Problem(("arrivals", "table"), str(error))) from None
    return Clients(lambda end_s: _repeated(mixture, end_s), np.inf)


def _repeated(mixture: ClientMixture, end_s: float) -> list[Client]:
    """Clients of a table, each with the hours of a day until a time."""
    hours = int(np.ceil(end_s / _HOUR_S))
    start_s = _HOUR_S * np.arange(hours)
    found: list[Client] = []
    for group in mixture.groups:
        rate_per_s = group.rate_per_s * np.resize(group.hourly, hours)
        gaps = _gaps(group.gaps, group.shape)
        for _ in range(group.clients):
            found.append(Client(len(found), start_s, _HOUR_S, rate_per_s, [gaps] * hours))
    return found


def _gaps(distribution: str, shape: float) -> Gaps:
    return WeibullGaps(shape) if distribution == "weibull" else GammaGaps(shape)


def read_clients(path: Path) -> Clients:
    """Read fitted rates and gaps of clients, a row per client and window.

    CSV or CSV.gz with columns `client`, `window_start_s`, `rate_rps`, `arrival_dist` (Gamma or Weibull)
    and `param1`, its shape; its scale follows from the rate. Windows are as long as the least distance of
    two of them.

    Raises
    ------
    InputError
        See `csv_rows.read_rows`.
    """
    columns = {name: (name,) for name in ("client", "window_start_s", "rate_rps", "arrival_dist", "param1")}
    rows = read_rows(path, columns, _row)
    starts = np.unique([row[1] for row in rows])
    length_s = float(np.diff(starts).min()) if len(starts) > 1 else _HOUR_S
    by_client: dict[int, list[tuple[float, float, Gaps]]] = {}
    for number, start_s, rate_per_s, gaps in rows:
        by_client.setdefault(number, []).append((start_s, rate_per_s, gaps))
    clients = [_client(number, length_s, windows) for number, windows in sorted(by_client.items())]
    return Clients(lambda end_s: clients, float(starts[-1]) + length_s)


def _client(number: int, length_s: float, windows: list[tuple[float, float, Gaps]]) -> Client:
    start_s, rate_per_s, gaps = zip(*sorted(windows, key=lambda window: window[0]), strict=True)
    return Client(number, np.array(start_s), length_s, np.array(rate_per_s), gaps)


def _row(row: Sequence[str]) -> tuple[int, float, float, Gaps]:
    client, start_s, rate, distribution, shape = row
    kind = distribution.strip().casefold()
    if kind not in ("gamma", "weibull"):
        raise ValueError(f"arrival_dist is '{distribution}'; Gamma or Weibull is expected")
    return (
        int(client),
        _number(start_s, "window_start_s", least=0.0),
        _number(rate, "rate_rps", least=0.0),
        _gaps(kind, _number(shape, "param1", least=1e-4)),
    )


def _number(text: str, what: str, *, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not least <= value < np.inf:
        raise ValueError(f"{what} is '{text}'; a number of at least {least:g} is expected")
    return value
