"""Beside Calculon (Isaev et al., SC23), a purely analytic model, on the rows that it validates itself on.

    git clone https://github.com/calculon-ai/calculon
    python benchmarks/calculon.py calculon

The eight rows are table 5 of Korthikanti et al., 2022 (arXiv:2205.05198). Calculon's description of the
A100 is its own, ours is the catalogue; neither sees the rows. Times per evaluation are CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path

from clustersim.study.validation.training.prediction import predict_row

ROWS = {
    ("megatron-22B", 48, 6144, 64, 1): (1.42, 1.10),
    ("gpt3-175B", 96, 12288, 96, 3): (18.13, 13.75),
    ("turing-530B", 105, 20480, 128, 3): (49.05, 37.83),
    ("megatron-1T", 128, 25600, 160, 1): (94.42, 71.49),
}
"""Model, layers, hidden, heads, chunks per stage: seconds with full recomputation, and with sequence
parallelism and selective recomputation (table 5; layouts in table 3)."""


def calculon_s(folder: Path, name: str, mode: str) -> float:
    """Let Calculon evaluate one of its own examples."""
    from calculon.llm import Llm
    from calculon.system import System

    log = logging.getLogger("calculon")
    application = Llm.Application(json.loads((folder / f"models/{name}.json").read_text()))
    example = folder / f"validation/seqsel/tab5/{name}_{mode}.json"
    system = System(json.loads((folder / "systems/a100_80g.json").read_text()))
    model = Llm(application, log)
    model.compile(system, Llm.Execution.from_json(json.loads(example.read_text())))
    model.run(system)
    return float(model.get_total_time())


def row_of(
    folder: Path, shape: tuple[str, int, int, int, int], mode: str, measured_s: float
) -> dict[str, str]:
    """Return the same job as a row of a table of training runs."""
    name, layers, hidden, heads, chunks = shape
    example = json.loads((folder / f"validation/seqsel/tab5/{name}_{mode}.json").read_text())
    sequence_parallel = mode == "seqsel"
    fields = {
        "row_id": f"{name} {mode}",
        "source": "arXiv:2205.05198 table 5",
        "table": "Korthikanti-T5",
        "system": "Selene DGX-A100 80GB",
        "gpu": "A100-SXM4-80GB",
        "gpu_count": example["num_procs"],
        "gpus_per_node": 8,
        "scale_out": "8x HDR200 IB per node, fat-tree",
        "framework": "Megatron-LM (interleaved 1F1B)",
        "task": "pretrain",
        "model": f"GPT {name}",
        "arch": "dense-gpt",
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": heads,
        "ffn_hidden": 4 * hidden,
        "vocab": 51200,
        "seq_len": 2048,
        "dtype": "fp16",
        "tp": example["tensor_par"],
        "seq_parallel": int(sequence_parallel),
        "pp": example["pipeline_par"],
        "vp": chunks,
        "dp": example["data_par"],
        "micro_batch": example["microbatch_size"],
        "global_batch": example["batch_size"],
        "recompute": "selective" if sequence_parallel else "full",
        "iter_time_s": measured_s,
    }
    return {name: str(value) for name, value in fields.items()}


def main() -> None:
    """Print both beside what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a clone of Calculon")
    folder = parser.parse_args().folder
    sys.path.insert(0, str(folder))
    print(
        f"{'row':24}{'measured':>10}{'Calculon':>10}{'error':>8}{'clustersim':>12}{'error':>8}   CPU seconds"
    )
    errors: list[tuple[float, float]] = []
    for shape, both in ROWS.items():
        for mode, measured_s in zip(("full", "seqsel"), both, strict=True):
            begun = time.process_time()
            theirs = calculon_s(folder, shape[0], mode)
            between = time.process_time()
            ours = predict_row(row_of(folder, shape, mode, measured_s))
            ended = time.process_time()
            if ours.predicted is None:
                print(f"{ours.id:24} not modelled: {ours.reason}")
                continue
            errors.append((theirs / measured_s - 1.0, ours.predicted / measured_s - 1.0))
            print(
                f"{ours.id:24}{measured_s:9.2f}s{theirs:9.2f}s{errors[-1][0]:+8.1%}{ours.predicted:11.2f}s"
                f"{errors[-1][1]:+8.1%}   {between - begun:.3f} and {ended - between:.3f}"
            )
    for number, who in enumerate(("Calculon", "clustersim")):
        absolute = [abs(pair[number]) for pair in errors]
        print(f"{who}: mean error {sum(absolute) / len(absolute):.1%}, worst {max(absolute):.1%}")


if __name__ == "__main__":
    main()
