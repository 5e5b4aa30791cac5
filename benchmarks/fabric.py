"""The fabric beside SimGrid, set by set, in one run: speed, work, memory and agreement.

    python benchmarks/fabric.py [--quick] [--reference DIR] [--sets NAMES] [--engines NAMES] [--json FILE]
    python benchmarks/fabric.py --profile SET

Engines: SimGrid's flow-level engine by the driver in benchmarks/simgrid (where libsimgrid-dev and g++
are installed, or `--simgrid PATH`); the fabric with a simpy process for each flow, and
`clustersim.replay_flows`; each in pure Python and, where numba is installed, compiled. Each runs in a
process of its own, one after another. Columns: flows per CPU second, that divided by SimGrid's,
simpy events, solves, classes of flows whose rate was computed, peak memory in MiB, and the largest
difference of the time that a flow takes, relative, to the set's own `finish` column or SimGrid's.
Rates are this machine's; the ratio is what to compare.

`--profile` runs one set with a process per flow under cProfile, in pure Python, and prints what it
spends its time on. Ends with 1 where finish times differ by more than 1e-6.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import simgrid_driver
from fabric_profile import print_profile
from flow_engines import ENGINES
from flow_sets import FlowSet, generated, read, reference
from measuring import simpy_events_per_s

_AGREE = 1e-6
_QUICK_SETS = ["at-once-2k", "load-10", "alike", "few-saturated"]
_ROUNDING_S = 2e-12
"""Files hold twelve decimals of a second."""


def sets(options: argparse.Namespace) -> Iterator[FlowSet]:
    """Make or read the sets that were asked for."""
    wanted = options.sets.split(",") if options.sets else None
    for name in reference(options.reference) if options.reference else ():
        if wanted is None or name in wanted:
            yield read(options.reference, name)
    if options.quick and wanted is None:
        wanted = _QUICK_SETS
    for name, make in generated(0.1 if options.quick else 1.0).items():
        if wanted is None or name in wanted:
            yield make()


def engines(options: argparse.Namespace) -> tuple[list[str], Path | None]:
    """Return the engines that are asked for and here, and SimGrid's driver."""
    driver = None if options.simgrid == "none" else Path(options.simgrid or simgrid_driver.find() or "")
    if driver is None or not driver.is_file():
        driver = None
    here = {"simgrid": driver is not None}
    compiled = importlib.util.find_spec("numba") is not None
    here |= {engine: compiled for engine in ENGINES if engine.endswith("compiled")}
    interpreted = [engine for engine in ENGINES if not engine.endswith("compiled")]
    asked = options.engines.split(",") if options.engines else interpreted if options.quick else ENGINES
    for engine in asked:
        if not here.get(engine, True):
            print(f"{engine} is left out: not installed here", file=sys.stderr)
    return [engine for engine in asked if here.get(engine, True)], driver


def measure(
    flows: FlowSet, names: list[str], driver: Path | None, repeat: int
) -> dict[str, dict[str, float]]:
    """Run the engines over one set and return what each measured."""
    with tempfile.TemporaryDirectory() as folder:
        flows.write(Path(folder))
        rows, finish = {}, {}
        for engine in names:
            words = [sys.executable, str(Path(__file__).parent / "flow_engines.py"), engine, folder]
            words += ["--repeat", str(repeat), *(["--driver", str(driver)] if engine == "simgrid" else [])]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            rows[engine] = json.loads(done.stdout)
            finish[engine] = np.load(Path(folder) / f"{engine}.npy")
    start = np.array(flows.flows["start"])
    wanted, rounding_s = finish[names[0]], 0.0
    if "finish" in flows.flows:
        wanted, rounding_s = np.array(flows.flows["finish"]), _ROUNDING_S
    alive = alive_at_once(start, wanted)
    for engine, row in rows.items():
        row["flows_per_s"] = len(start) / row["cpu_s"]
        off_s = np.maximum(np.abs(finish[engine] - wanted) - rounding_s, 0.0)
        row["difference"] = float(np.max(off_s / (wanted - start)))
        row |= alive
        if "simgrid" in rows:
            row["times_simgrid"] = rows["simgrid"]["cpu_s"] / row["cpu_s"]
    return rows


def alive_at_once(start: np.ndarray, finish: np.ndarray) -> dict[str, float]:
    """Return how many flows are under way in the mean over the flows' starts, and at most."""
    begun = np.arange(1, len(start) + 1)
    alive = begun - np.searchsorted(np.sort(finish), np.sort(start), side="right")
    return {"alive_mean": float(alive.mean()), "alive_most": float(alive.max())}


def print_set(flows: FlowSet, rows: dict[str, dict[str, float]]) -> None:
    """Print one block of the table."""
    first = next(iter(rows.values()))
    print(
        f"\n{flows.name}: {len(flows.flows['start']):,} flows; when one starts {first['alive_mean']:,.0f}"
        f" are alive in the mean, {first['alive_most']:,.0f} at most"
    )
    for engine, row in rows.items():
        cells = [f"{row['flows_per_s']:>11,.0f}"]
        cells += [f"{row['times_simgrid']:>10.2f}" if "times_simgrid" in row else f"{'':>10}"]
        cells += [
            f"{row[name]:>11,.0f}" if name in row else f"{'':>11}" for name in ("events", "solves", "touched")
        ]
        cells += [f"{row['peak_mib']:>7.0f}", f"{row['difference']:>9.0e}"]
        print(f"  {engine:<17}" + "".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="four sets, a tenth of the flows, once, in pure Python"
    )
    parser.add_argument("--reference", type=Path, metavar="DIR", help="a folder with reference sets")
    parser.add_argument("--sets", help="only these, by name, with commas between them")
    parser.add_argument("--engines", help=f"only these of {', '.join(ENGINES)}")
    parser.add_argument("--simgrid", metavar="PATH", help="its driver, ready-made; 'none' leaves SimGrid out")
    parser.add_argument("--repeat", type=int, default=5, help="take the best of so many (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--profile", metavar="SET", help="profile one set instead")
    options = parser.parse_args()
    if options.profile:
        options.sets = options.profile
        print_profile(next(sets(options)))
        return
    names, driver = engines(options)
    print(
        f"plain simpy: {simpy_events_per_s(50_000 if options.quick else 300_000):,.0f} events per CPU second"
    )
    heads = ("flows/s", "x SimGrid", "events", "solves", "touched", "MiB", "differs")
    print(
        " " * 19
        + "".join(f"{head:>{width}}" for head, width in zip(heads, (11, 10, 11, 11, 11, 7, 9), strict=True))
    )
    measured = {}
    for flows in sets(options):
        measured[flows.name] = measure(flows, names, driver, 1 if options.quick else options.repeat)
        print_set(flows, measured[flows.name])
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))
    sys.exit(any(row["difference"] > _AGREE for rows in measured.values() for row in rows.values()))


if __name__ == "__main__":
    main()
