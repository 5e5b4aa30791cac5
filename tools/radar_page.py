"""Fill docs/radar.md and docs/radar-moves.md: `python tools/radar_page.py` (minutes).

Parts by name alone: `default`, `network`, `devices`, `scale`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import clustersim as cs
from clustersim.report.numbers import quantity
from clustersim.report.plots.radar_moves import moves
from clustersim.report.radar import share_words
from clustersim.study.radar.result import AXES
from clustersim.study.radar.workload import shipped_scenarios

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
BEGIN, END = "<!-- table: tools/radar_page.py {} -->\n", "<!-- end of table -->"
RATES = (100, 200, 400, 800)
NODES = {"A100": "dgx-a100-80gb", "H100": "dgx-h100", "H200": "dgx-h200", "B200": "dgx-b200"}
SCALES = (1, 8, 32, 128)
TITLES = {
    "network": (
        "From 100 to 800 Gbit/s",
        "64 H100 in 8 DGX H100 on a rail-optimised network; Llama 2 70B and Neo I, plans of scenarios/radar",
    ),
    "devices": (
        "From A100 to B200",
        "64 GPUs in 8 nodes on a rail-optimised network of 400 Gbit/s; Llama 2 70B and Neo I, the same plans",
    ),
    "scale": (
        "From 8 to 1,024 GPUs",
        "DGX H100 on a rail-optimised network of 400 Gbit/s; Llama 2 13B (training) and 70B, DLRM-DCNv2",
    ),
}

Scenarios = Mapping[str, cs.Scenario]


def main(parts: Sequence[str]) -> None:
    """Make the radar of the shipped scenarios and the three series of radars, or those that are named."""
    if not parts or "default" in parts:
        found = cs.radar()
        found.plot.radar().save(IMAGES / "radar.png")
        found.plot.what_if().save(IMAGES / "radar-what-if.png")
        _fill(ROOT / "docs" / "radar.md", "default", f"```text\n{found.summary(width=100)}\n```\n")
    for name, series in (("network", network), ("devices", devices), ("scale", scale)):
        if not parts or name in parts:
            title, subtitle = TITLES[name]
            radars = series()
            moves(radars, title=title, subtitle=subtitle).save(IMAGES / f"radar-{name}.png")
            _fill(ROOT / "docs" / "radar-moves.md", name, "\n".join(table(radars)) + "\n")


def network() -> dict[str, cs.Radar]:
    """The shipped scenarios on other networks between the nodes."""
    return {f"{rate} Gbit/s": _radar({"cluster.fabric.bandwidth": f"{rate} Gbit/s"}) for rate in RATES}


def devices() -> dict[str, cs.Radar]:
    """The shipped scenarios on other nodes behind the same network."""
    return {name: _radar({"cluster.topology.node": node}) for name, node in NODES.items()}


def scale() -> dict[str, cs.Radar]:
    """Models that fit on eight GPUs, with as much work for each GPU at every size."""
    return {
        f"{8 * nodes:,} GPUs": cs.radar(at_scale(nodes), check=False, what_if=False, memory=False)
        for nodes in SCALES
    }


def at_scale(nodes: int) -> Scenarios:
    """Return the shipped scenarios on so many nodes, with smaller models in training and in ranking."""
    gpus = 8 * nodes
    changes: dict[str, dict[str, object]] = {
        "LLM training": {
            "model": "llama-2-13b",
            "gpus": gpus,
            "parallelism.pipeline": 1,
            "global_batch": 2 * gpus,
        },
        "LLM prefill": {"replicas": nodes, "arrivals.clients": 4 * nodes, "requests": 32 * nodes},
        "LLM decode": {"replicas": nodes, "arrivals.clients": 80 * nodes, "requests": 160 * nodes},
        "ranking training": {"model": "dlrm-dcnv2", "gpus": gpus},
        "ranking inference": {
            "model": "dlrm-dcnv2",
            "replicas": gpus,
            "gpus_per_replica": 1,
            "embeddings.precision": "fp16",
            "arrivals.clients": 4 * gpus,
            "queries": 200 * gpus,
        },
    }
    return {
        label: scenario.with_(
            **{"cluster.topology.nodes": nodes},
            **{
                f"workloads.{scenario.workloads[0].name}.{path}": value
                for path, value in changes[label].items()
            },
        )
        for label, scenario in shipped_scenarios().items()
    }


def _radar(changes: Mapping[str, object]) -> cs.Radar:
    scenarios = {label: each.with_(**changes) for label, each in shipped_scenarios().items()}
    return cs.radar(scenarios, check=False, what_if=False, memory=False)


def table(radars: Mapping[str, cs.Radar]) -> Iterator[str]:
    """Yield the lines of a table: a row for each workload and radar."""
    names = [name.replace("_", " ") for name in AXES if name != "memory_capacity"]
    yield f"| workload | | pace | {' | '.join(names)} | host | memory per FLOP |"
    yield f"|---|---|---{'|---' * (len(names) + 2)}|"
    labels = dict.fromkeys(each.label for radar in radars.values() for each in radar.profiles)
    for label in labels:
        for name, radar in radars.items():
            yield f"| {label} | {name} | {_cells(radar, label)} |"


def _cells(radar: cs.Radar, label: str) -> str:
    if label in radar.failed:
        reason = "does not fit" if "needs" in radar.failed[label] else "cannot run"
        return " | ".join([reason, *[""] * 6])
    profile = radar[label]
    shares = [profile.elasticities[name] for name in (*AXES, "host") if name != "memory_capacity"]
    pace = f"{quantity(profile.need.units_per_s, '')} {profile.need.unit}s/s"
    per_flop = profile.need.memory_per_flop
    return " | ".join([pace, *map(share_words, shares), "-" if per_flop is None else f"{per_flop:.3g}×"])


def _fill(page: Path, name: str, text: str) -> None:
    """Put a text between the marks of this name."""
    begin = BEGIN.format(name)
    head, _, rest = page.read_text().partition(begin)
    page.write_text(f"{head}{begin}{text}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main(sys.argv[1:])
