"""How a scenario names a ranking model."""

from __future__ import annotations

from typing import Annotated

from clustersim.spec._base import FileReference

__all__ = ["RankingModelName"]

RankingModelName = Annotated[str, FileReference("model.yaml", suffixes=(".yaml", ".yml"))]
"""Name of a ranking model in the catalogue, or path of a ranking-model file."""
