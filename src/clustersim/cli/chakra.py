"""`clustersim chakra`: execution traces for other simulators."""

from __future__ import annotations

import argparse

from clustersim.cli._arguments import add_scenario, add_set, load_with, output_folder
from clustersim.errors import InputError, did_you_mean

HELP = "write a training job as a Chakra execution trace, for ASTRA-sim"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=["export"], help="what to do")
    add_scenario(parser)
    add_set(parser)
    parser.add_argument(
        "--workload", metavar="NAME", help="which training job, where the scenario has several"
    )
    parser.add_argument(
        "--out", type=output_folder, metavar="DIR", required=True, help="folder for NAME.0.et, NAME.1.et, …"
    )


def execute(args: argparse.Namespace) -> int:
    """Write the files; print what they are."""
    scenario = load_with(args.scenario, args.settings)
    from clustersim.interchange.chakra import export
    from clustersim.study.prepare import prepare
    from clustersim.workloads.training import TrainingWorkload

    prepared = prepare(scenario)
    jobs = {each.name: each for each in prepared.workloads if isinstance(each, TrainingWorkload)}
    name = args.workload
    if name is not None and name not in jobs:
        raise InputError(f"the scenario has no training job '{name}'.{did_you_mean(name, jobs)}")
    if name is None and len(jobs) != 1:
        which = f"which training job: {', '.join(jobs)}? Name it with --workload"
        raise InputError(which if jobs else "the scenario has no training job")
    written = export(jobs[name if name is not None else next(iter(jobs))], args.out)
    print(f"{written.nodes:,} nodes of {written.ranks:,} ranks: {written.prefix}.N.et, {written.groups}")
    return 0
