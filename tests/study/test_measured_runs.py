"""Measured runs of serving engines: what is read of each format, and the replay."""

from __future__ import annotations

import json

import numpy as np
import pytest

import clustersim as cs
from clustersim.cli import main
from clustersim.errors import InputError
from clustersim.study.validation.measured import replay
from clustersim.study.validation.measured.measured_run import Sending
from clustersim.study.validation.measured.reading import read_run
from clustersim.study.validation.measured.replay import validate_run

SUMMARY = {
    "backend": "vllm",
    "num_prompts": 3,
    "request_rate": 2.0,
    "burstiness": 1.0,
    "max_concurrency": None,
    "duration": 4.0,
    "completed": 3,
    "total_input_tokens": 600,
    "total_output_tokens": 12,
    "request_throughput": 0.75,
    "output_throughput": 3.0,
    "mean_ttft_ms": 50.0,
    "median_ttft_ms": 40.0,
    "std_ttft_ms": 3.0,
    "p99_ttft_ms": 90.0,
    "mean_tpot_ms": 10.0,
    "p99_itl_ms": 30.0,
    "mean_e2el_ms": 80.0,
}
DETAILS = {
    "input_lens": [100, 200, 300, 400],
    "output_lens": [3, 1, 4, 0],
    "ttfts": [0.05, 0.04, 0.09, 0.0],
    "itls": [[0.01, 0.03], [], [0.01, 0.01, 0.02], []],
    "start_times": [1000.5, 1000.0, 1001.0, 1002.0],
    "generated_texts": ["a", "b", "c", ""],
    "errors": ["", "", "", "timeout"],
}
GENAI_PERF = """Metric,avg,min,max,p99,p95,p90,p75,p50,p25
Time To First Token (ms),50.00,10.0,90.0,88.0,80.0,70.0,60.0,50.0,40.0
Inter Token Latency (ms),10.00,5.0,20.0,19.0,18.0,17.0,12.0,10.0,9.0
Request Latency (ms),"1,500.00",100.0,3000.0,2900.0,2800.0,2700.0,2000.0,1500.0,1000.0
Output Sequence Length,100.00,90,110,110,110,110,105,100,95
Input Sequence Length,200.00,200,200,200,200,200,200,200,200

Metric,Value
Output Token Throughput (per sec),"1,000.00"
Request Throughput (per sec),10.00
Request Count (count),30.00
"""
SCENARIO = {
    "name": "measured",
    "seed": 1,
    "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "a100-40gb-x4"}},
    "workloads": [
        {
            "name": "chat",
            "kind": "inference",
            "model": "llama-2-7b",
            "arrivals": {"kind": "poisson", "rate": "1 req/s"},
            "lengths": {"prompt": 10, "output": 10},
            "duration": "1 min",
        }
    ],
}


@pytest.fixture
def written(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture(scope="module")
def scenario():
    return cs.Scenario.from_dict(SCENARIO)


def test_a_detailed_vllm_result_gives_requests_and_latencies_in_seconds(written):
    run = read_run(written("run.json", SUMMARY | DETAILS))
    assert run.tool.startswith("vLLM")
    assert run.prompt.tolist() == [100, 200, 300]
    assert run.output.tolist() == [3, 1, 4]
    assert run.arrival_s.tolist() == [0.5, 0.0, 1.0]
    assert run.samples["e2e_s"].tolist() == pytest.approx([0.09, 0.04, 0.13])
    assert run.samples["tpot_s"].tolist() == pytest.approx([0.02, 0.04 / 3])
    assert len(run.samples["itl_s"]) == 5
    assert any("1 requests of the run failed" in note for note in run.notes)


def test_a_summary_gives_its_percentiles_and_mean_lengths(written):
    run = read_run(written("run.json", SUMMARY))
    assert run.prompt.tolist() == [200] * 3
    assert run.output.tolist() == [4] * 3
    assert run.statistics()["ttft_s"] == pytest.approx({"mean": 0.05, "p50": 0.04, "p99": 0.09})
    assert run.statistics()["e2e_s"] == pytest.approx({"mean": 0.08})
    assert run.sending == Sending(2.0, 1.0, None)
    assert any("--save-detailed" in note for note in run.notes)


def test_a_line_of_sglang_is_one_run(written):
    line = {
        key: value for key, value in (SUMMARY | DETAILS).items() if "e2el" not in key and key != "start_times"
    }
    line |= {"mean_e2e_latency_ms": 80.0, "max_concurrency": 2}
    path = written("runs.jsonl", "\n".join(json.dumps(line | {"request_rate": rate}) for rate in (1.0, 4.0)))
    with pytest.raises(InputError, match="holds 2 runs; choose one with --run"):
        read_run(path)
    run = read_run(path, run=2)
    assert run.tool.startswith("SGLang")
    assert run.sending == Sending(4.0, 1.0, 2)
    assert run.arrival_s is None
    with pytest.raises(InputError, match="there is no run 3"):
        read_run(path, run=3)


def test_a_summary_of_genai_perf_is_read(written):
    run = read_run(written("profile_export_genai_perf.csv", GENAI_PERF))
    statistics = run.statistics()
    assert statistics["e2e_s"]["mean"] == pytest.approx(1.5)
    assert statistics["tpot_s"]["p95"] == pytest.approx(0.018)
    assert run.rates == {"output_tokens_per_s": 1000.0, "requests_per_s": 10.0}
    assert set(run.prompt.tolist()) == {200}


def test_a_table_of_requests_is_read_in_any_unit(written):
    text = "Arrival_Time,prompt,output,TTFT_ms,e2e_s\n5.0,100,3,40,0.1\n4.0,200,1,,0.2\n"
    run = read_run(written("mine.csv", text))
    assert run.arrival_s.tolist() == [0.0, 1.0]
    assert run.prompt.tolist() == [200, 100]
    assert run.samples["ttft_s"].tolist() == pytest.approx([0.04])
    assert run.samples["tpot_s"].tolist() == pytest.approx([0.03])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", {"hello": 1, "world": 2}, "in no known format .it has: hello, world.; results of vLLM"),
        ("x.json", "[1, 2]", "it has: list"),
        ("x.json", "{not json", "is no JSON"),
        ("x.json", SUMMARY | {"completed": 0}, "no request of this run was answered"),
        ("x.json", SUMMARY | DETAILS | {"ttfts": [0.1]}, "differ in length"),
        ("x.json", SUMMARY | {"total_input_tokens": "many"}, "no result of vLLM's or SGLang's"),
        ("x.csv", "a,b\n1,2\n", "no column is a latency"),
        ("x.csv", "metric,avg\nTime To First Token (ms),1\n", "Input Sequence Length"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_would_be(written, name, content, message):
    with pytest.raises(InputError, match=message):
        read_run(written(name, content))


def test_the_replay_sends_the_same_requests_at_the_same_times(written, scenario):
    report = validate_run(read_run(written("run.json", SUMMARY | DETAILS)), scenario)
    rows = {row.id: row for row in report.rows}
    assert rows["ttft p50"].measured == pytest.approx(0.05)
    assert 0.001 < rows["ttft p50"].predicted < 0.2
    assert rows["e2e mean"].error is not None
    assert rows["itl p99"].predicted > 0
    assert rows["requests_per_s"].measured == 0.75
    assert len(report.predicted["e2e_s"]) == 3
    text = report.text()
    assert "ttft p99" in text
    assert "note: 1 requests of the run failed" in text


def test_a_simulated_run_is_predicted_without_error(tmp_path, scenario):
    """The simulation stands for the measurement: its own requests, replayed, take the same times."""
    table = cs.run(scenario).requests("chat")
    path = tmp_path / "own.csv"
    table.rename(columns={"prompt_tokens": "prompt", "output_tokens": "output"})[
        ["arrival_s", "prompt", "output", "ttft_s", "e2e_s"]
    ].to_csv(path, index=False)
    report = validate_run(read_run(path), scenario)
    assert len(report.modelled) >= 10
    assert report.errors().max() < 1e-6


@pytest.mark.parametrize(
    ("sending", "kind"),
    [
        (Sending(rate_per_s=5.0, burstiness=0.25), "gamma"),
        (Sending(rate_per_s=float("inf")), "trace"),
        (Sending(rate_per_s=float("inf"), concurrency=3), "closed-loop"),
    ],
)
def test_unknown_times_follow_from_how_requests_were_sent(written, scenario, sending, kind, monkeypatch):
    sent = []
    monkeypatch.setattr(replay, "run", lambda scenario: sent.append(scenario) or cs.run(scenario))
    run = read_run(written("run.json", SUMMARY | {"completed": 40, "total_output_tokens": 400}))
    report = replay.validate_run(run, scenario, sending=sending)
    arrivals = sent[0].workloads[0].arrivals
    assert arrivals.kind == kind
    assert len(report.predicted["e2e_s"]) == 40
    if kind == "gamma":
        assert (arrivals.rate, arrivals.cv) == (5.0, 2.0)
    if kind == "closed-loop":
        assert arrivals.clients == 3


def test_somebody_must_say_how_requests_were_sent_and_to_which_service(written, scenario):
    run = read_run(written("run.json", SUMMARY | {"request_rate": None}))
    with pytest.raises(InputError, match="give '--rate'"):
        validate_run(run, scenario)
    with pytest.raises(InputError, match="Did you mean 'chat'"):
        validate_run(run, scenario, service="chap")


def test_the_command_prints_percentiles_and_draws_the_distributions(written, tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(json.dumps(SCENARIO))
    path = written("my-run.json", SUMMARY | DETAILS)
    picture = tmp_path / "cdf.png"
    assert main(["validate", str(path), "--scenario", str(tmp_path / "s.yaml"), "--plot", str(picture)]) == 0
    assert "ttft p99" in capsys.readouterr().out
    assert picture.stat().st_size > 10_000
    assert main(["validate", str(path)]) == 2
    assert "needs '--scenario'" in capsys.readouterr().err


def test_percentiles_beyond_the_metrics_are_read_off_the_distribution(written, scenario):
    report = validate_run(read_run(written("g.csv", GENAI_PERF)), scenario, sending=Sending(rate_per_s=10.0))
    rows = {row.id: row for row in report.rows}
    values = report.predicted["ttft_s"]
    assert rows["ttft p95"].predicted == pytest.approx(np.percentile(values, 95, method="inverted_cdf"))
