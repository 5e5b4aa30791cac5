"""Pictures of a service: what their curves are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import synthetic_result
from clustersim.errors import InputError
from clustersim.report.plots import ResultPlots


def plots(**tables: dict[str, np.ndarray]) -> ResultPlots:
    """Pictures of the made-up result, with tables added to its service."""
    result = synthetic_result.result()
    chat = result.outcomes["chat"]
    changed = replace(chat, tables={**chat.tables, **tables})
    return replace(result, outcomes={**result.outcomes, "chat": changed}).plot


def steps(replicas: int = 2) -> dict[str, np.ndarray]:
    """One step a second on each replica, the second replica twice as well used."""
    replica = np.repeat(np.arange(replicas), 10)
    start_s = np.tile(np.arange(10.0), replicas)
    table = {"replica": replica, "start_s": start_s, "end_s": start_s + 1.0, "queue_length": replica * 4}
    return table | {"mfu": 0.1 + 0.1 * replica, "mbu": 0.3 + 0.3 * replica}


def test_use_of_the_engines_is_the_mean_over_replicas_with_their_range() -> None:
    picture = plots(steps=steps()).engine_use("chat")
    queue, mfu, mbu = picture.axes
    assert np.allclose(queue.lines[0].get_ydata(), 2.0)
    assert np.allclose(mfu.lines[0].get_ydata(), 15.0)
    assert np.allclose(mbu.lines[0].get_ydata(), 45.0)
    low, high = mbu.collections[0].get_datalim(mbu.transData).intervaly
    assert (low, high) == pytest.approx((30.0, 60.0))


def test_without_counts_of_work_the_queue_alone_is_drawn() -> None:
    table = {name: column for name, column in steps(1).items() if name not in ("mfu", "mbu")}
    picture = plots(steps=table).engine_use("chat")
    assert [axes.get_ylabel() for axes in picture.axes] == ["requests waiting"]


def test_the_hit_rate_is_what_was_found_of_what_was_asked_in_each_part_of_the_time() -> None:
    asked = 1000 * np.arange(1, 61)
    table = {
        "replica": np.zeros(60, dtype=int),
        "time_s": np.arange(60.0),
        "prompt_tokens": asked,
        "found_tokens": asked // 4,
        "fetched_tokens": asked // 2,
    }
    axes = plots(kv_cache=table).cache_hits("chat").axes[0]
    tops = [area.get_datalim(axes.transData).y1 for area in axes.collections]
    assert tops == pytest.approx([25.0, 75.0], abs=0.5)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["in GPU memory", "in lower tiers"]


def test_times_between_tokens_stand_beside_the_other_latencies() -> None:
    table = {"itl_s": np.array([0.01, 0.02, 0.5]), "share": np.array([0.5, 0.98, 1.0])}
    axes = plots(inter_token=table).latency_cdf("chat").axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "ITL: p50 10.0 ms, p99 500 ms" in labels


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda plot: plot.engine_use("pretrain"), "'pretrain' has no engine steps to draw"),
        (lambda plot: plot.cache_hits("chat"), "'chat' has no prefix cache"),
    ],
)
def test_what_is_not_there_is_refused(draw, message) -> None:
    with pytest.raises(InputError, match=message):
        draw(plots())
