"""`clustersim plan`: the fastest layouts of a training job."""

from __future__ import annotations

import argparse
import sys

from clustersim.cli._arguments import (
    add_progress,
    add_set,
    count,
    output_folder,
    parse_settings,
    picture_file,
    terminal_width,
)
from clustersim.cli._progress import progress_bar

HELP = "search the layouts of a training job: rank them, with the reason for each"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="model of the catalogue, or a model file")
    parser.add_argument(
        "cluster", metavar="CLUSTER", help="topology or scenario file, or a shipped one: topologies/NAME.yaml"
    )
    parser.add_argument("--gpus", type=count, required=True, metavar="N", help="GPUs of the job")
    parser.add_argument(
        "--global-batch", type=count, required=True, metavar="B", help="samples per optimizer step"
    )
    _add_job(parser)
    _add_search(parser)
    add_set(parser)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    parser.add_argument(
        "--plot", type=picture_file, metavar="FILE", help="draw time against memory (PNG, SVG or PDF)"
    )
    add_progress(parser)


def execute(args: argparse.Namespace) -> int:
    """Search, print and keep."""
    from clustersim.study.plan import plan

    with progress_bar(f"plan {args.model}", wanted=args.progress, clock="best step {:.4g} s") as report:
        found = plan(
            args.model,
            args.cluster,
            gpus=args.gpus,
            global_batch=args.global_batch,
            sequence=args.sequence,
            precision=args.precision,
            optimizer=args.optimizer,
            attention=args.attention,
            changes=parse_settings(args.settings),
            max_tensor=args.max_tensor,
            max_pipeline=args.max_pipeline,
            max_context=args.max_context,
            max_expert=args.max_expert,
            max_micro_batch=args.max_micro_batch,
            top=args.top,
            within=args.within,
            jobs=args.jobs,
            out=args.out,
            resume=args.resume,
            progress=report,
        )
    print(found.to_json() if args.json else found.summary(width=terminal_width()))
    if args.plot is not None:
        found.plot.trade_off().save(args.plot)
        print(f"drawn in {args.plot}", file=sys.stderr)
    if args.out is not None:
        print(f"kept in {args.out}; its best layout as a scenario in best.yaml", file=sys.stderr)
    return 0


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sequence", type=count, metavar="S", help="tokens per sample; the model's maximum")
    parser.add_argument(
        "--precision", default="bf16", metavar="P", help="fp32, tf32, fp16, bf16 or fp8 (bf16)"
    )
    parser.add_argument(
        "--optimizer", default="adam", metavar="O", help="adam, adam-8bit, adafactor, lamb or sgd (adam)"
    )
    parser.add_argument("--attention", default="fused", metavar="A", help="fused or unfused (fused)")


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-tensor", type=count, metavar="N", help="largest tensor group; the GPUs of a node, at most 16"
    )
    for name, default in (("pipeline", 64), ("context", 64), ("expert", 64)):
        parser.add_argument(
            f"--max-{name}",
            type=count,
            default=default,
            metavar="N",
            help=f"largest {name} group ({default})",
        )
    parser.add_argument(
        "--max-micro-batch", type=count, default=8, metavar="N", help="largest micro-batch in samples (8)"
    )
    parser.add_argument("--top", type=count, default=10, metavar="K", help="layouts to rank (10)")
    parser.add_argument(
        "--within",
        type=_from_one,
        default=1.5,
        metavar="X",
        help="slowest layout of the Pareto front, in times of the best (1.5)",
    )
    parser.add_argument("--jobs", type=count, metavar="N", help="processes at once; by default one per core")
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="keep every simulated layout there at once, and the plan",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the search that was kept in --out")


def _from_one(text: str) -> float:
    """Read a number from 1 (an argparse type)."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1")
    return value
