"""A measured table drives a service: what it holds, what it must hold, what it leaves to the fabric."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

import clustersim as cs
from clustersim.cost.serving.tables import TableTimer, read_tables
from clustersim.errors import InputError

SAMPLE = Path(__file__).parents[2] / "scenarios" / "step-times"


@pytest.fixture
def tables(tmp_path):
    """A copy of the sample that may be changed."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "tables"))


def scenario(folder, **service):
    return cs.Scenario.from_dict(
        {
            "name": "measured",
            "seed": 1,
            "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "dgx-a100"}},
            "workloads": [
                {
                    "kind": "inference",
                    "name": "chat",
                    "model": "llama-2-7b",
                    "step_times": {"tables": str(folder)},
                    "scheduler": {"policy": "sarathi", "max_batched_tokens": 256, "max_batch": 32},
                    "arrivals": {"kind": "fixed", "rate": "1/s"},
                    "lengths": {"prompt": 100, "output": 3},
                    "requests": 2,
                    **service,
                }
            ],
        }
    )


def first_request(result):
    return result.requests("chat").iloc[0]


def rewrite(path, change):
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode()))


def test_the_steps_of_a_service_take_what_the_tables_say(tables):
    timer = TableTimer(read_tables(tables), layers=32)
    prompt = timer.step(decodes=0, context_sum=0, chunks=[(100, 0)], sampled=1).seconds
    decode = timer.step(decodes=1, context_sum=101, chunks=(), sampled=1).seconds
    request = first_request(cs.run(scenario(tables)))
    assert request.ttft_s == pytest.approx(prompt, abs=1e-9)
    assert request.e2e_s == pytest.approx(prompt + 2 * decode, abs=1e-9)


def test_measured_all_reduces_are_part_of_the_steps(tables):
    timer = TableTimer(read_tables(tables), layers=32, tensor=2)
    seconds = timer.step(decodes=0, context_sum=0, chunks=[(100, 0)], sampled=1).seconds
    alone = TableTimer(read_tables(tables), layers=32)
    difference = seconds - alone.step(decodes=0, context_sum=0, chunks=[(100, 0)], sampled=1).seconds
    assert difference == pytest.approx(32 * 2 * (0.02 + 3e-4 * 104 + 0.02) * 1e-3)
    request = first_request(cs.run(scenario(tables, parallelism={"tensor": 2})))
    assert request.ttft_s == pytest.approx(seconds, abs=1e-9)


def test_all_reduces_that_were_not_measured_go_over_the_fabric(tables):
    (tables / "all_reduce.csv.gz").unlink()
    request = first_request(cs.run(scenario(tables, parallelism={"tensor": 2})))
    alone = first_request(cs.run(scenario(tables)))
    assert request.ttft_s > alone.ttft_s
    assert request.network_bandwidth_share > 0.0


def test_pipeline_stages_share_the_layers_and_send(tables):
    tokens = np.arange(1, 289)
    rows = "\n".join(f"{count},{0.5}" for count in tokens)
    (tables / "send_recv.csv").write_text("num_tokens,prediction\n" + rows + "\n")
    timer = TableTimer(read_tables(tables), layers=32, pipeline=4)
    batch = {"decodes": 2, "context_sum": 90, "chunks": [(30, 64)], "sampled": 2}
    stages = [time.seconds for time in timer.stage_seconds(**batch)]
    assert sum(stages) == pytest.approx(timer.step(**batch).seconds)
    assert stages[0] - stages[-1] == pytest.approx(0.5e-3)
    whole = TableTimer(read_tables(tables), layers=32).step(**batch).seconds
    assert sum(stages) == pytest.approx(whole + 3 * 0.5e-3)


def test_a_mean_context_is_rounded_down_and_then_up_to_64():
    timer = TableTimer(read_tables(SAMPLE), layers=1)
    runs = [timer.decode_run(decodes=2, context_sum=total) for total in (128, 129, 130)]
    assert [run.steps for run in runs] == [1, 1, 64]
    assert runs[0].first.seconds == runs[1].first.seconds < runs[2].first.seconds


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "attn_rope.csv.gz").unlink(), "no attn_rope.csv"),
        (
            lambda folder: rewrite(folder / "add.csv.gz", lambda text: text.replace("prediction", "ms")),
            "'prediction'",
        ),
        (
            lambda folder: rewrite(folder / "add.csv.gz", lambda text: text + "7,x\n"),
            "add.csv.gz:290: expected numbers",
        ),
        (lambda folder: rewrite(folder / "add.csv.gz", lambda text: text + "7,-1\n"), "at least 0"),
        (shutil.rmtree, "cannot be read|no such folder"),
    ],
)
def test_what_is_wrong_with_the_tables_is_said_before_the_run(tables, spoil, says):
    spoil(tables)
    with pytest.raises(InputError, match=says):
        cs.run(scenario(tables))


def test_a_step_that_is_not_in_the_tables_says_where_they_end(tables):
    with pytest.raises(InputError, match="no entry for"):
        cs.run(scenario(tables, lengths={"prompt": 5000, "output": 3}))


def test_techniques_and_step_times_exclude_each_other(tables):
    with pytest.raises(InputError, match="step_times"):
        scenario(tables, techniques={"weights": "fp8"})


def test_the_content_hash_follows_the_tables(tables):
    before = scenario(tables).content_hash()
    rewrite(tables / "add.csv.gz", lambda text: text.replace("0.00201", "0.00301"))
    assert scenario(tables).content_hash() != before
