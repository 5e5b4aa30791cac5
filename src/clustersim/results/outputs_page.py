"""`docs/outputs.md` from the tables of columns: `python -m clustersim.results.outputs_page`."""

from __future__ import annotations

from collections.abc import Iterable

from clustersim.results.columns import FABRIC, KINDS, documented_metrics, documented_tables

__all__ = ["markdown"]


def markdown() -> str:
    """Return `docs/outputs.md`: every metric and column in tables."""
    parts = [_INTRODUCTION]
    for kind in (*KINDS, FABRIC):
        parts.append(f"## {kind.capitalize()}\n\n### Metrics\n")
        parts.append(_table(("metric", "unit", "better", "meaning"), _metric_rows(kind)))
        for table, columns in documented_tables(kind).items():
            parts.append(f"### Table `{table}`\n")
            rows = [(f"`{column.name}`", column.unit, column.description) for column in columns]
            parts.append(_table(("column", "unit", "meaning"), rows))
    return "\n".join(parts)


def _metric_rows(kind: str) -> list[tuple[str, ...]]:
    infos = documented_metrics(kind).values()
    return [(f"`{info.name}`", info.unit, _ARROWS[info.better], info.description) for info in infos]


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


_ARROWS = {"higher": "higher", "lower": "lower", "neither": ""}

_INTRODUCTION = """# Outputs

<!-- Made by `python -m clustersim.results.outputs_page`; do not edit. -->

Every metric and every table column, by workload kind. All values are in SI units, but for days, kWh and
USD/h of a whole run, and the unit is part of the name. A metric with a distribution appears once per
statistic: `ttft_s.mean`, `ttft_s.p50`, `.p90`, `.p99`, `.p99.9`. A metric that could not be computed is
absent. `better` is the direction that `clustersim compare` counts as an improvement.

Percentiles interpolate linearly between the sorted values: p99.9 of fewer than 1,000 requests lies between
the two slowest; a ranking service leaves out those for which it has too few queries. Latencies are those of
finished requests and queries; where `requests_unfinished` or `queries_unfinished` is many, they are too low.
"""

if __name__ == "__main__":
    print(markdown(), end="")
