"""SimGrid's flow-level engine through the driver in benchmarks/simgrid: built where it can be."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "simgrid"


class SimGridRun(NamedTuple):
    """CPU seconds of `Engine::run`, peak memory of the process, finish time of each flow."""

    cpu_s: float
    peak_mib: float
    finish_s: np.ndarray


def find() -> Path | None:
    """Return the driver, building it if it is not built; None where SimGrid or g++ is not installed."""
    if not shutil.which("make") or not shutil.which("g++"):
        return None
    if not Path("/usr/include/simgrid/s4u.hpp").exists():
        return None
    done = subprocess.run(["make", "-C", str(FOLDER)], capture_output=True, text=True)
    return FOLDER / "build" / "replay" if done.returncode == 0 else None


def run(driver: Path, folder: Path) -> SimGridRun:
    """Replay `links.csv` and `flows.csv` of a folder."""
    answer = folder / "simgrid_finish.txt"
    words = [str(driver), str(folder / "links.csv"), str(folder / "flows.csv"), str(answer)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = dict(line.split() for line in process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}")
    return SimGridRun(float(said["cpu_s"]), usage.ru_maxrss / 1024, np.loadtxt(answer, ndmin=1))
