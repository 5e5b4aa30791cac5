"""The command line with nothing replaced: a run, its files, Ctrl-C in mid-run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "clustersim.cli"]

ENDLESS = """\
name: endless
cluster: {topology: {kind: leaf-spine, nodes: 4, node: dgx-a100, nodes_per_leaf: 2, oversubscription: 2}}
workloads:
  - {name: one, kind: training, model: resnet-50, gpus: 16, micro_batch: 32, steps: 900000, kernel_jitter: .1}
  - {name: two, kind: training, model: resnet-50, gpus: 16, micro_batch: 32, steps: 900000, kernel_jitter: .1}
"""


def test_a_scenario_runs_from_another_folder_and_keeps_its_files(tmp_path: Path) -> None:
    scenario = ROOT / "scenarios" / "resnet50-on-dgx-a100.yaml"
    command = [*COMMAND, "run", str(scenario), "--json", "--out", "kept", "--seed", "3"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["provenance"]["seed"] == 3
    assert json.loads((tmp_path / "kept" / "metrics.json").read_text())["metrics"] == printed["metrics"]
    again = subprocess.run(
        [*COMMAND, "run", "kept/scenario.yaml", "--json"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=True,
    )
    assert json.loads(again.stdout)["metrics"] == printed["metrics"]


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX does")
def test_ctrl_c_in_mid_run_keeps_the_partial_result_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "endless.yaml").write_text(ENDLESS)
    command = [*COMMAND, "run", "endless.yaml", "--progress", "--out", "kept"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stderr is not None
    shown = b""
    while b"simulated" not in shown:
        piece = os.read(running.stderr.fileno(), 4096)
        assert piece, shown
        shown += piece
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert b"endless" in out
    assert b"partial result: interrupted at" in err
    assert json.loads((tmp_path / "kept" / "metrics.json").read_text())["provenance"]["complete"] is False
