"""Draw the picture at the top of README from the shipped scenario.

python tools/readme_picture.py [--seed 1]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import clustersim as cs

ROOT = Path(__file__).parents[1]
SCENARIO = ROOT / "scenarios" / "ddp-and-chat-on-one-fabric.yaml"
PICTURE = ROOT / "docs" / "images" / "chat-beside-training.png"
COLOURS = {
    "alone, 100 Gbit/s": "#009E73",
    "beside training, 100 Gbit/s": "#D55E00",
    "beside training, 800 Gbit/s": "#0072B2",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    both = cs.load(SCENARIO)
    variants = {
        "alone, 100 Gbit/s": both.with_(workloads=[w for w in both.workloads if w.name == "chat"]),
        "beside training, 100 Gbit/s": both,
        "beside training, 800 Gbit/s": both.with_(**{"cluster.fabric.bandwidth": "800 Gbit/s"}),
    }
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for label, scenario in variants.items():
        requests = cs.run(scenario, seed=seed).requests("chat")
        for axes, column, unit in zip(panels, ("ttft_s", "tpot_s"), (1.0, 1e3), strict=True):
            values = np.sort(requests[column].dropna().to_numpy()) * unit
            tail = 1.0 - np.arange(len(values)) / len(values)
            axes.step(values, tail, where="post", label=label, color=COLOURS[label], lw=2)
    labels = ("time to first token (s)", "time per output token (ms)")
    for axes, text, ticks in zip(panels, labels, ((0.1, 0.3, 1, 3), (30, 50, 100, 200)), strict=True):
        axes.set(xscale="log", yscale="log", xlabel=text)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks((1, 0.1, 0.01), ("100 %", "10 %", "1 %"))
        axes.xaxis.set_minor_formatter("")
        axes.spines[["top", "right"]].set_visible(False)
        axes.axhline(0.01, color="0.6", lw=0.8, ls=":")
        axes.grid(alpha=0.25, which="both", lw=0.5)
    panels[0].set_ylabel("share of requests that take longer")
    panels[0].text(0.02, 0.0108, "p99", transform=panels[0].get_yaxis_transform(), fontsize=8, color="0.4")
    panels[1].legend(frameon=False, fontsize=8, loc="lower left")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=160)
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
