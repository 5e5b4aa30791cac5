"""Run the tail study and write its page: `python tools/tail_study.py` (a minute or two)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import clustersim as cs
from clustersim.report.numbers import duration, percent
from clustersim.report.style import BLUE, RED, Picture, house_style, legend_below, stacked_picture

ROOT = Path(__file__).parents[1]
SCENARIO = "scenarios/disaggregated-tail.yaml"
OVERSUBSCRIPTION = (1, 2, 4, 10)
ALONE, BESIDE = "alone", "beside training"
SEEDS = 3
METRICS = {
    "ttft_s.p99": "time to first token, p99",
    "itl_s.p99.9": "between tokens, p99.9",
    "kv_transfer_s.p99": "KV transfer, p99",
}
Series = dict[str, dict[str, list[list[float]]]]
"""Tenant and metric to values: one list of seeds per oversubscription."""


def main() -> None:
    """Simulate every variant, draw the picture and write the table."""
    found = _simulated()
    _picture(found).save(ROOT / "docs" / "images" / "tail-study.png")
    page = ROOT / "docs" / "tail-study.md"
    begin, end = "<!-- table: tools/tail_study.py -->\n", "<!-- end of table -->"
    head, _, rest = page.read_text().partition(begin)
    page.write_text(f"{head}{begin}{_table(found)}{end}{rest.partition(end)[2]}")


def _simulated() -> Series:
    base = cs.load(ROOT / SCENARIO)
    variants = {}
    for ratio in OVERSUBSCRIPTION:
        both = base.with_(**{"cluster.topology.oversubscription": ratio})
        variants[f"{BESIDE} {ratio}"] = both
        variants[f"{ALONE} {ratio}"] = both.model_copy(update={"workloads": both.workloads[:1]})
    runs = cs.compare(variants, seeds=SEEDS).runs
    names = (*METRICS, "slo_attainment")

    def values(tenant: str, name: str) -> list[list[float]]:
        return [
            [run.record.metrics["chat"][name] for run in runs if run.variant == f"{tenant} {ratio}"]
            for ratio in OVERSUBSCRIPTION
        ]

    return {tenant: {name: values(tenant, name) for name in names} for tenant in (ALONE, BESIDE)}


@house_style
def _picture(found: Series) -> Picture:
    """Draw each metric over the oversubscription; a dot per seed, a line through their mean."""
    picture, stacked = stacked_picture(len(METRICS), 7.6, 2.5)
    for axes, (name, words) in zip(stacked, METRICS.items(), strict=True):
        for tenant, color, mark in ((ALONE, BLUE, "o"), (BESIDE, RED, "s")):
            seeds = found[tenant][name]
            axes.plot(
                OVERSUBSCRIPTION, [1e3 * fmean(each) for each in seeds], color=color, lw=1.6, label=tenant
            )
            for ratio, each in zip(OVERSUBSCRIPTION, seeds, strict=True):
                axes.plot([ratio] * len(each), [1e3 * value for value in each], mark, color=color, ms=4)
        axes.set(xscale="log", ylabel=f"{words} (ms)")
        axes.set_ylim(bottom=0)
        axes.set_xticks(OVERSUBSCRIPTION, [f"{ratio}:1" for ratio in OVERSUBSCRIPTION], minor=False)
        axes.minorticks_off()
    stacked[0].set_title("A disaggregated service and the fabric between its pools", loc="left")
    stacked[-1].set_xlabel("oversubscription of the leaves")
    legend_below(stacked[-1])
    return picture


def _table(found: Series) -> str:
    lines = [
        "| leaves | training beside | TTFT p99 | between tokens p99.9 | KV transfer p99 | SLO kept |",
        "|---|---|---|---|---|---|",
    ]
    for place, ratio in enumerate(OVERSUBSCRIPTION):
        for tenant, beside in ((ALONE, "no"), (BESIDE, "yes")):
            cells = [duration(_mean(found[tenant][name], place)) for name in METRICS]
            kept = percent(_mean(found[tenant]["slo_attainment"], place))
            lines.append(f"| {ratio}:1 | {beside} | {' | '.join(cells)} | {kept} |")
    return (
        "\n".join(lines)
        + f"\n\nMeans over {SEEDS} seeds.\n\n![Tail over oversubscription](images/tail-study.png)\n"
    )


def _mean(values: Sequence[Sequence[float]], place: int) -> float:
    return fmean(values[place])


if __name__ == "__main__":
    main()
