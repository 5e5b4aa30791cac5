"""Print what long products hold, by device, from the tables of kernels: `sustained_product` of the catalogue.

    python tools/sustained_rates.py --truth FOLDER

A product of several milliseconds that runs again and again in a profiler is as the power limit has
it; the median over shapes of their rates is taken. Products with a side below 2048 are left out.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from clustersim.cost.operators import GemmShape
from clustersim.study.validation.kernels.tables import Measurement, measurements

LEAST_S, LEAST_SIDE = 3e-3, 2048


def long_products(rows: Iterable[Measurement]) -> dict[tuple[str, str, str], list[float]]:
    """Return the rates in FLOP/s of long products, by device, table and precision."""
    rates: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row.seconds < LEAST_S or len(row.operators) != 1:
            continue
        (operator,) = row.operators
        shape = operator.shape
        if isinstance(shape, GemmShape) and min(shape.n, shape.k) >= LEAST_SIDE:
            rates[row.device, row.table, operator.precision].append(operator.flops / row.seconds)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--truth", type=Path, required=True, help="folder of the measured tables")
    print("device, table, precision: rows, median TFLOP/s (10 %, 90 %)")
    for key, found in sorted(long_products(measurements(parser.parse_args().truth)).items()):
        median, low, high = np.quantile(np.array(found) / 1e12, (0.5, 0.1, 0.9))
        print(f"{', '.join(key)}: {len(found)}, {median:.1f} ({low:.0f}, {high:.0f})")


if __name__ == "__main__":
    main()
