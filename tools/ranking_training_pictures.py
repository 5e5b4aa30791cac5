"""Draw the pictures of docs/ranking-training.md from the shipped scenarios.

python tools/ranking_training_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import clustersim as cs

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
PICTURES = {
    "ranking-training-step.png": "dlrm-on-8-gpus.yaml",
    "ranking-training-skew.png": "dlrm-on-64-gpus-skewed-plan.yaml",
}


def main() -> None:
    """Draw the streams of a step in the middle of each scenario."""
    for name, scenario in PICTURES.items():
        result = cs.run(cs.load(ROOT / "scenarios" / scenario))
        figure = result.plot.gantt("dlrm", iteration=5)
        figure.savefig(IMAGES / name, dpi=130)
        print((IMAGES / name).relative_to(ROOT))


if __name__ == "__main__":
    main()
