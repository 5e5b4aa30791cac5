"""Draws the picture of docs/ranking-inference.md: p99 against load of a ranking service.

python tools/ranking_inference_picture.py
"""

from __future__ import annotations

from pathlib import Path

import clustersim as cs

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Search the highest load of each configuration and draw latency over load."""
    found = cs.capacity(
        cs.load(ROOT / "scenarios" / "rank-a-feed-on-a100.yaml"),
        vary={
            "workloads.feed.instances": [1, 2],
            "workloads.feed.routing": ["round-robin", "least-outstanding"],
        },
    )
    found.plot.latency().save(ROOT / "docs" / "images" / "ranking-latency-over-load.png")
    print(found.summary())


if __name__ == "__main__":
    main()
