"""Results of ranking jobs and services: frames, documented outputs, the trace, saving, comparing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import clustersim as cs
import synthetic_ranking
from clustersim.errors import InputError
from clustersim.report.plots import ResultPlots
from clustersim.results import Result
from clustersim.results.batch_slices import batch_lanes, batch_slices
from clustersim.results.columns import documented_metrics, documented_tables, metric_info
from clustersim.results.perfetto import events
from clustersim.spec.scenario import Scenario
from clustersim.study.comparison import HEADLINES

KINDS = ("ranking-training", "ranking-inference")


def scenario() -> Scenario:
    """A job, and a service with everything that makes tables and metrics of its own."""
    job = {
        "kind": "ranking-training",
        "name": "dlrm",
        "model": "deeprecsys-rm1",
        "gpus": 2,
        "batch": 512,
        "steps": 3,
        "economics": {"samples": 1_000_000},
    }
    service = {
        "kind": "ranking-inference",
        "name": "feed",
        "model": "deeprecsys-rm1",
        "stages": [{"name": "early", "model": "deeprecsys-rm1", "keep": 50, "latency_share": 0.5}],
        "experiment": {
            "variant": {"model": "deeprecsys-rm2"},
            "engagement": {"control": 0.1, "variant": 0.2},
        },
        "push": {"every": "20 ms", "rows": 0.01},
        "embeddings": {"kind": "cached", "precision": "fp16", "fraction": 0.5},
        "arrivals": {"kind": "poisson", "rate": "5000 qps"},
        "candidates": {"kind": "fixed", "samples": 200},
        "queries": 500,
        "slo": {"latency": "5 ms"},
    }
    return Scenario.from_dict(
        {
            "name": "ranking",
            "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100"}},
            "workloads": [job, service],
        }
    )


@pytest.fixture(scope="module")
def result() -> Result:
    return cs.run(scenario())


@pytest.mark.parametrize("name", ["dlrm", "feed"])
def test_every_metric_table_and_column_of_a_ranking_run_is_documented(result: Result, name: str) -> None:
    outcome = result.outcome(name)
    known = documented_metrics(outcome.kind)
    undocumented = {m for m in outcome.metrics if m not in known and m.partition(".")[0] not in known}
    assert undocumented == set()
    tables = documented_tables(outcome.kind)
    for table, columns in outcome.tables.items():
        assert set(columns) <= {column.name for column in tables[table]}, table


def test_a_run_with_all_features_makes_every_documented_table(result: Result) -> None:
    for outcome in result.outcomes.values():
        assert outcome.tables.keys() == documented_tables(outcome.kind).keys()


def test_queries_come_as_a_frame_with_the_provenance(result: Result) -> None:
    frame = result.queries("feed")
    assert len(frame) == 500
    assert frame.attrs["content_hash"] == result.content_hash
    mean_s = frame.latency_s[frame.counted].mean()
    assert mean_s == pytest.approx(result.metrics()["feed"]["latency_s.mean"])
    with pytest.raises(InputError, match="workload 'dlrm' has no table 'queries'"):
        result.queries("dlrm")


@pytest.mark.parametrize("kind", KINDS)
def test_every_headline_of_a_ranking_kind_is_a_documented_metric(kind: str) -> None:
    for metric in HEADLINES[kind]:
        assert metric_info(kind, metric).description, metric


def test_directions_of_ranking_headlines_are_known() -> None:
    better = {metric: metric_info(kind, metric).better for kind in KINDS for metric in HEADLINES[kind]}
    assert better["latency_s.p99"] == better["embedding_imbalance"] == better["iteration_s.mean"] == "lower"
    assert better["queries_per_s"] == better["slo_attainment"] == better["samples_per_s"] == "higher"


def test_each_worker_is_a_thread_of_its_service_and_each_batch_an_event_in_microseconds(
    result: Result,
) -> None:
    outcome, found = result.outcome("feed"), list(events(result))
    processes = {e["args"]["name"]: e["pid"] for e in found if e["name"] == "process_name"}
    threads = {e["tid"]: e["args"]["name"] for e in found if e["name"] == "thread_name"}
    batches = [event for event in found if event.get("cat") == "batch"]
    table = outcome.tables["batches"]
    assert [event["ts"] for event in batches] == pytest.approx((1e6 * table["start_s"]).tolist(), abs=1e-3)
    assert {event["pid"] for event in batches} == {processes["feed"]}
    names = {threads[event["tid"]] for event in batches}
    assert {"replica 0 early worker 0", "replica 0 rank worker 0", "replica 0 variant worker 0"} <= names
    assert len(names) == len(batch_lanes(outcome))


def test_batches_of_one_worker_never_overlap(result: Result) -> None:
    ended: dict[str, float] = {}
    for batch in sorted(batch_slices(result.outcome("feed")), key=lambda each: each.start_s):
        assert batch.start_s >= ended.get(batch.lane, 0.0) - 1e-12
        ended[batch.lane] = batch.end_s


def test_what_is_no_ranking_service_has_no_batches(result: Result) -> None:
    assert batch_lanes(result.outcome("dlrm")) == []
    assert list(batch_slices(result.outcome("dlrm"))) == []


def test_ranks_of_a_job_are_threads_of_its_process(result: Result) -> None:
    threads = {e["args"]["name"] for e in events(result) if e["name"] == "thread_name"}
    assert {"rank0/compute", "rank1/compute"} <= threads


@pytest.mark.parametrize("trace", [True, False])
def test_a_saved_service_keeps_its_tables_and_its_batches_where_a_trace_is_wanted(
    trace: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultPlots, "all", lambda plots: iter(()))
    made = synthetic_ranking.result(synthetic_ranking.service())
    replace(made, scenario=made.scenario.with_(**{"run.trace": trace})).save(tmp_path)
    assert (tmp_path / "tables" / "feed.queries.csv").read_text().count("\n") == 201
    assert (tmp_path / "trace.perfetto.json.gz").exists() == trace
    assert json.loads((tmp_path / "metrics.json").read_text())["metrics"]["feed"]["latency_s.p99"] > 0


def test_sentences_say_whose_time_it_is() -> None:
    sentences = synthetic_ranking.result().bottlenecks()
    assert sentences["dlrm"].startswith("dlrm: 40 % of iteration time is compute")
    assert sentences["feed"].startswith("feed: 34 % of query time is compute")


def test_two_ranking_services_are_compared_by_their_headlines() -> None:
    base = Scenario.from_dict(
        {
            "name": "feed",
            "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100"}},
            "workloads": [
                {
                    "kind": "ranking-inference",
                    "name": "feed",
                    "model": "deeprecsys-rm1",
                    "arrivals": {"kind": "poisson", "rate": "5000 qps"},
                    "candidates": {"kind": "fixed", "samples": 200},
                    "queries": 300,
                }
            ],
        }
    )
    wider = base.with_(**{"workloads.feed.replicas": 2})
    comparison = cs.compare({"one": base, "two": wider}, seeds=1, jobs=1)
    shown = {change.metric for change in comparison.headline() if change.workload == "feed"}
    assert {"latency_s.p50", "queries_per_s", "usd_per_million_queries"} <= shown
    assert shown <= set(HEADLINES["ranking-inference"])
