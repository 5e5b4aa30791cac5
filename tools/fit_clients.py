"""Make the client mixtures of the catalogue from ServeGen's fits of clients and windows.

    python tools/fit_clients.py --traces FOLDER > src/clustersim/catalog/data/clients.yaml

The largest clients are kept one by one, the others in groups: mean rate, the commoner distribution of
gaps (by requests) with the median of its shapes (by requests), and the mean rate in each hour of the day.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SOURCE = (
    "{}, clients and windows fitted by ServeGen (Xiang et al., Workload Characterization and Generation of "
    "LLM Serving in Production, 2025; github.com/alibaba/ServeGen, data/{})"
)
TABLES = {
    "servegen-m-small": (
        "servegen_client_rates_language_m-small.csv.gz",
        SOURCE.format("Language model M-small, 14 days", "language/m-small"),
        (*range(1, 13), 20, 43),
    ),
    "servegen-deepseek-r1": (
        "servegen_client_rates_reason_deepseek-r1.csv.gz",
        SOURCE.format("Reasoning model deepseek-r1, 1 day", "reason/deepseek-r1"),
        (*range(1, 13), 24, 40, 73),
    ),
}
"""File, source, and the ranks at which groups of clients end."""
WINDOW_S = 600.0
DAY_S = 86_400.0


@dataclass
class Fits:
    """One array per column, a row per client and window."""

    client: np.ndarray
    start_s: np.ndarray
    rate: np.ndarray
    weibull: np.ndarray
    shape: np.ndarray

    def of(self, clients: np.ndarray) -> Fits:
        rows = np.isin(self.client, clients)
        return Fits(*(column[rows] for column in vars(self).values()))


def read(path: Path) -> Fits:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return Fits(
        client=np.array([int(row["client"]) for row in rows]),
        start_s=np.array([float(row["window_start_s"]) for row in rows]),
        rate=np.array([float(row["rate_rps"]) for row in rows]),
        weibull=np.array([row["arrival_dist"] == "Weibull" for row in rows]),
        shape=np.array([float(row["param1"]) for row in rows]),
    )


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])


def group(fits: Fits, clients: np.ndarray, days: float) -> str:
    """Return one group as a line of YAML."""
    mine = fits.of(clients)
    rate = mine.rate.sum() * WINDOW_S / (days * DAY_S) / len(clients)
    weibull = mine.rate[mine.weibull].sum() > mine.rate[~mine.weibull].sum()
    alike = mine.weibull == weibull
    shape = weighted_median(mine.shape[alike], mine.rate[alike])
    hours = (mine.start_s % DAY_S // 3600).astype(int)
    hourly = np.bincount(hours, weights=mine.rate, minlength=24)
    factors = ", ".join(f"{factor:.3g}" for factor in hourly / hourly.mean())
    kind = "weibull" if weibull else "gamma"
    return (
        f"{{clients: {len(clients)}, rate_per_s: {rate:.4g}, gaps: {kind}, shape: {shape:.3g}, "
        f"hourly: [{factors}]}}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=Path, required=True, help="folder of the public data")
    folder = parser.parse_args().traces
    print("# Clients of production services: groups of alike clients, the largest first.")
    print("# Made by tools/fit_clients.py from the public data that the sources name.")
    print("sources:")
    for name, (_, source, _) in TABLES.items():
        print(f'  {name}: {{text: "{source}", how: seen}}')
    print("\nentries:")
    for name, (file, _, ends) in TABLES.items():
        fits = read(folder / file)
        days = round((fits.start_s.max() + WINDOW_S) / DAY_S)
        clients = np.unique(fits.client)
        ranked = clients[np.argsort([-fits.of(np.array([client])).rate.sum() for client in clients])]
        print(f"  {name}:\n    aliases: []\n    sources: {{all: {name}}}\n    groups:")
        for start, end in zip((0, *ends), ends, strict=False):
            print(f"      - {group(fits, ranked[start:end], days)}")


if __name__ == "__main__":
    main()
