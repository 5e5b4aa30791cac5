"""Fill the table of docs/capacity.md: `python tools/capacity_page.py` (some minutes)."""

from __future__ import annotations

from pathlib import Path

import clustersim as cs

ROOT = Path(__file__).parents[1]
SCENARIO = "scenarios/mobile-question-in-100-ms.yaml"
VARY = {
    "cluster.topology.node": ["g6.48xlarge", "p4d.24xlarge", "p5.48xlarge"],
    "workloads.answers.parallelism.tensor": [1, 2, 4],
    "workloads.answers.scheduler.max_batch": [8, 64],
}
BEGIN, END = "<!-- table: tools/capacity_page.py -->\n", "<!-- end of table -->"


def main() -> None:
    """Search every configuration, draw the picture, and write the table."""
    found = cs.capacity(cs.load(ROOT / SCENARIO), vary=VARY, tolerance=0.05, curve=6)
    found.plot.latency().save(ROOT / "docs" / "images" / "capacity-100-ms.png")
    options = " ".join(
        f"--vary {path}={','.join(str(value) for value in values)}" for path, values in VARY.items()
    )
    text = (
        "```sh no-run some minutes on two cores\n"
        f"clustersim capacity {SCENARIO} {options} --tolerance 0.05\n```\n\n"
        f"```text\n{found.summary(width=118)}\n```\n\n"
        "![Latency over load of the six cheapest configurations](images/capacity-100-ms.png)\n"
    )
    page = ROOT / "docs" / "capacity.md"
    head, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{head}{BEGIN}{text}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
