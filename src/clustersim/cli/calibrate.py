"""`clustersim calibrate`: measure this machine's device and write it as a device file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from clustersim.errors import InputError

HELP = "measure a device of your own and write it as a device file that scenarios can use"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--out", type=_device_file, metavar="FILE", default=Path("my-gpu.yaml"), help="default: my-gpu.yaml"
    )
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), help="default: a GPU where PyTorch sees one, else the processor"
    )
    parser.add_argument(
        "--like",
        metavar="NAME",
        help="take peaks, bandwidths and power from this accelerator of the catalogue; without it the best "
        "that is measured stands for the peak",
    )
    parser.add_argument(
        "--sizes",
        choices=("gpu", "cpu", "quick"),
        help="which kernels to run; default by device; quick: tiny ones, to see whether it works",
    )


def execute(args: argparse.Namespace) -> int:
    """Measure, fit and write."""
    from datetime import date

    from clustersim import catalog
    from clustersim.study.calibrate import PLANS, calibrated, device_file_text, measure, open_backend

    like = catalog.accelerator(args.like) if args.like is not None else None
    backend = open_backend(args.device)
    sizes = args.sizes or ("cpu" if backend.vendor == "CPU" else "gpu")
    print(f"{backend.device_name}: {backend.software}, sizes '{sizes}'", file=sys.stderr)
    measured = measure(backend, PLANS[sizes], tell=_tell)
    found = calibrated(backend, measured, like=like, name=args.out.stem)
    text = device_file_text(found, device=backend.device_name, date=date.today().isoformat())
    args.out.write_text(text, encoding="utf-8")
    _report(found.accelerator.peak_flops, found.accelerator.sustained_product_flops)
    print(f"{len(measured.rows)} kernels, median error of the curves {found.median_error:.1%}: {args.out}")
    return 0


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def _report(peaks: Mapping[str, float], held: Mapping[str, float]) -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    for precision, peak in peaks.items():
        print(f"{precision}: {held[precision] / 1e12:.4g} TFLOP/s held of {peak / 1e12:.4g}")


def _device_file(text: str) -> Path:
    """Check, before anything runs, that `text` can be a device file to write (an argparse type)."""
    path = Path(text)
    if path.suffix not in (".yaml", ".yml"):
        raise argparse.ArgumentTypeError(f"'{text}' should end in .yaml")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder '{path.parent}'")
    return path
