"""Run the shipped what-if scenarios and print a page: `python tools/what_if.py > docs/what-if.md`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clustersim as cs
from clustersim.report.numbers import duration, percent
from clustersim.report.words import EXPOSED

ROOT = Path(__file__).parents[1]
JOB = "workloads.pretrain"


@dataclass(frozen=True)
class Case:
    """One question: a scenario, its variants, and what they show."""

    title: str
    scenario: str
    baseline: str
    variants: Mapping[str, Mapping[str, Any]]
    command: str
    finding: Callable[[Sequence[float]], str]
    """Sentences from the times of the variants, in their order."""


@dataclass(frozen=True)
class Row:
    """What one variant came out as."""

    label: str
    metrics: Mapping[str, float]

    @property
    def iteration_s(self) -> float:
        """Time of an optimizer step."""
        return self.metrics["iteration_s.mean"]


def _dense(model: str) -> dict[str, Any]:
    return {f"{JOB}.model": model, f"{JOB}.parallelism": {"zero": 1}}


CASES = (
    Case(
        title="400 → 800 Gbit/s",
        scenario="what-if-800g",
        baseline="HGX B300, 400 Gbit/s",
        variants={
            "HGX B300, 800 Gbit/s": {"cluster.fabric.bandwidth": "800 Gbit/s"},
            "DGX H100, 400 Gbit/s": {"cluster.topology.node": "dgx-h100"},
            "DGX H100, 800 Gbit/s": {
                "cluster.topology.node": "dgx-h100",
                "cluster.fabric.bandwidth": "800 Gbit/s",
            },
        },
        command='--set "cluster.fabric.bandwidth=800 Gbit/s"',
        finding=lambda t: (
            f"""
Twice the bandwidth takes {percent(1 - t[1] / t[0])} off an iteration of the B300 system: gradients of all
experts do not fit behind one backward pass, and what sticks out halves. The same money buys
{percent(1 - t[3] / t[2])} on DGX H100: each adapter sits behind 16 lanes of PCIe Gen5, which are full at 400
Gbit/s."""
        ),
    ),
    Case(
        title="NVL8 → NVL72",
        scenario="what-if-nvl72",
        baseline="8 × HGX B200, experts over 64 GPUs",
        variants={
            "8 × HGX B200, experts over 8 GPUs, 8 stages": {
                f"{JOB}.parallelism": {"expert": 8, "expert_tensor": 1, "pipeline": 8, "zero": 1}
            },
            "GB200 NVL72, experts over 64 GPUs": {
                "cluster.topology": {"kind": "star", "nodes": 1, "node": "gb200-nvl72"}
            },
        },
        command="--set cluster.topology.nodes=1 --set cluster.topology.node=gb200-nvl72",
        finding=lambda t: (
            f"""
Every token visits eight of 128 experts in each of 94 layers. Spread over nodes of eight, nearly all of
that leaves the node, and training runs at the pace of the network; in one NVLink domain the same layout
is {t[0] / t[2]:.1f} times as fast. A fair comparison changes the layout too: with experts inside the
node and a pipeline over the nodes the gain is {t[1] / t[2]:.2f} times, of which GB200's higher power
limit is a part."""
        ),
    ),
    Case(
        title="Oversubscription 1:1 → 4:1",
        scenario="what-if-oversubscription",
        baseline="mixture of experts, 1:1",
        variants={
            "mixture of experts, 2:1": {"cluster.topology.oversubscription": 2},
            "mixture of experts, 4:1": {"cluster.topology.oversubscription": 4},
            "dense Llama-3-8B, 1:1": _dense("llama-3-8b"),
            "dense Llama-3-8B, 4:1": {**_dense("llama-3-8b"), "cluster.topology.oversubscription": 4},
        },
        command="--set cluster.topology.oversubscription=4",
        finding=lambda t: (
            f"""
All-to-alls between the leaves pay for it: {t[1] / t[0]:.2f} times the time at 2:1, {t[2] / t[0]:.2f}
times at 4:1. A dense model's gradients go around rings that cross each leaf's uplinks once, beside
computation: the same cut costs it {percent(t[4] / t[3] - 1)}. Oversubscription is a question of the traffic
and the placement."""
        ),
    ),
    Case(
        title="One slow GPU in 1,024",
        scenario="what-if-slow-gpu",
        baseline="all alike",
        variants={
            "one GPU 10 % slower": {f"{JOB}.stragglers": [{"gpu": 137, "slowdown": 1.1}]},
            "one GPU 30 % slower": {f"{JOB}.stragglers": [{"gpu": 137, "slowdown": 1.3}]},
            "one node 30 % slower": {f"{JOB}.stragglers": [{"node": 17, "slowdown": 1.3}]},
        },
        command="--set 'workloads.pretrain.stragglers=[{gpu: 137, slowdown: 1.3}]'",
        finding=lambda t: (
            f"""
One GPU of a thousand that is 30 % slower costs all of them {percent(t[2] / t[0] - 1)}, one that is 10 %
slower {percent(t[1] / t[0] - 1)}: the other seven of its tensor group wait in every layer, the stages of its
pipeline in every micro-batch, all replicas at the end. Part of it hides in the bubble. A whole slow
node costs {percent(t[3] / t[0] - 1)}, as much as one GPU: its eight are one tensor group."""
        ),
    ),
    Case(
        title="ECMP, spray, adaptive",
        scenario="what-if-ecmp",
        baseline="ECMP, one connection per pair",
        variants={
            "ECMP, four connections per pair": {"cluster.fabric.connections": 4},
            "adaptive": {"cluster.fabric.routing": "adaptive"},
            "spray": {"cluster.fabric.routing": "spray"},
        },
        command="--set cluster.fabric.routing=spray",
        finding=lambda t: (
            f"""
The network has full bisection, and hashing throws {percent(1 - t[3] / t[0])} of the time away: where
connections meet on an uplink, every rank of their rings waits. Spraying packets, or taking the least
used path, gives the time of a network that does not block; here four connections per pair do as well,
because each needs little of a link. The hash is seeded: `--seeds 5` shows how luck spreads."""
        ),
    ),
    Case(
        title="Tensor parallelism across nodes: why not",
        scenario="what-if-tensor-parallel",
        baseline="tensor 8, inside the node",
        variants={
            "tensor 4, inside the node": {f"{JOB}.parallelism.tensor": 4},
            "tensor 16, over two nodes": {f"{JOB}.parallelism.tensor": 16},
            "tensor 8, laid across the nodes": {
                f"{JOB}.parallelism.order": ["data", "tensor", "context", "pipeline"]
            },
        },
        command="--set workloads.pretrain.parallelism.tensor=16",
        finding=lambda t: (
            f"""
Twice per layer and pass the activations of the whole micro-batch are gathered and scattered, and
nothing hides it. Inside a node that goes over NVLink, between nodes over adapters that are several
times slower: tensor 16 takes {t[2] / t[0]:.2f} times as long as tensor 8, though its pipeline bubble is
smaller. Eight-way groups that a wrong order of ranks lays across nodes take {t[3] / t[0]:.2f} times as
long. Tensor 4 is as good as 8 ({percent(t[1] / t[0] - 1)}): less communication against more bubble."""
        ),
    ),
    Case(
        title="ZeRO 3 on Ethernet",
        scenario="what-if-zero3-on-ethernet",
        baseline="ZeRO 3, InfiniBand NDR",
        variants={
            "ZeRO 3, 100 Gbit/s Ethernet": {"cluster.fabric.link": "ethernet-100g"},
            "ZeRO 3, 25 Gbit/s Ethernet": {"cluster.fabric.link": "ethernet-25g"},
            "tensor 2 × pipeline 4, 25 Gbit/s Ethernet": {
                "cluster.fabric.link": "ethernet-25g",
                f"{JOB}.parallelism": {"tensor": 2, "pipeline": 4, "zero": 1},
            },
        },
        command="--set cluster.fabric.link=ethernet-25g",
        finding=lambda t: (
            f"""
Parameters are gathered twice and gradients scattered once per micro-batch: three times the model,
however small the batch. At one sample per GPU InfiniBand NDR hides that behind computation; 100 Gbit/s
Ethernet takes {t[1] / t[0]:.1f} times as long, 25 Gbit/s {t[2] / t[0]:.1f} times. Pipeline stages send
activations, and their replicas hold an eighth of the model: {t[2] / t[3]:.1f} times as fast there. A
larger micro-batch helps ZeRO 3 too."""
        ),
    ),
)
"""In the order of the page."""


def rows(case: Case, *, only: Sequence[str] | None = None) -> list[Row]:
    """Run a case's scenario and its variants, or those of `only` that are named."""
    scenario = cs.load(ROOT / "scenarios" / f"{case.scenario}.yaml")
    found = []
    for label, changes in {case.baseline: {}, **case.variants}.items():
        if only is not None and label not in only:
            continue
        result = cs.run(scenario.with_(**changes, **{"run.trace": False}))
        found.append(Row(label, result.outcomes["pretrain"].metrics))
    return found


def section(case: Case) -> str:
    """Return a case's part of the page."""
    found = rows(case)
    first = found[0].iteration_s
    lines = [
        f"## {case.title}\n",
        f"`scenarios/{case.scenario}.yaml`\n",
        "```sh no-run (tests/study/test_what_if.py runs it)",
        f"clustersim compare scenarios/{case.scenario}.yaml --seeds 1 {case.command}",
        "```\n",
        "| variant | iteration | | compute | bubble | exposed communication | waiting | MFU | most of it |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
        *(_line(row, first) for row in found),
        "\n"
        + textwrap.fill(
            case.finding([row.iteration_s for row in found]).strip(), 112, break_on_hyphens=False
        ),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row, first_s: float) -> str:
    parts = ("compute_s", "bubble_s", "exposed_communication_s", "waiting_s")
    shares = [percent(row.metrics[name] / row.iteration_s) for name in parts]
    times = f"{row.iteration_s / first_s:.2f}×"
    cells = [row.label, duration(row.iteration_s), times, *shares, percent(row.metrics["mfu"]), _cause(row)]
    return f"| {' | '.join(cells)} |"


def _cause(row: Row) -> str:
    """Return the largest kind of exposed communication, if that is much; else what else takes most."""
    name, seconds = max(((words, row.metrics[metric]) for metric, words in EXPOSED), key=lambda pair: pair[1])
    return f"compute, then {name}" if seconds < row.metrics["compute_s"] else name


INTRODUCTION = """# What if

<!-- Made by `python tools/what_if.py > docs/what-if.md`; do not edit. -->

Questions that people have before they buy a network or lay out a job, each a scenario that runs in a second
or two. Change it with `--set`, or copy it. The share of an iteration is that of the mean GPU; MFU counts
attention over all pairs of tokens. What is predicted is as good as the models behind it:
[training](training.md), [collectives](collectives.md), [transport](transport.md).
"""


def main() -> None:
    """Print the page."""
    print(INTRODUCTION)
    for case in CASES:
        print(section(case))


if __name__ == "__main__":
    main()
