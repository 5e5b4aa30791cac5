"""The radar: shares that sum to 1 and that reruns confirm, the known orders, resumed, refused."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from radar_scenarios import DECODE, PREFILL, TRAINING, scenario

import clustersim as cs
from clustersim.errors import CannotRunError, InputError
from clustersim.report.numbers import percent
from clustersim.spec import shipped
from clustersim.study import records
from clustersim.study.radar.elasticity import RESOURCES, elasticities
from clustersim.study.radar.needs import Need
from clustersim.study.radar.what_if import curves
from clustersim.study.radar.workload import SHIPPED, shipped_scenarios, subjects

SMALL = {"training": scenario(TRAINING), "prefill": scenario(PREFILL), "decode": scenario(DECODE)}


@pytest.fixture(scope="module")
def found():
    return cs.radar(SMALL, memory=False, jobs=1)


@given(
    shares=st.dictionaries(
        st.sampled_from([*RESOURCES, "queueing", "storage"]), st.floats(1e-6, 1.0), min_size=1
    )
)
def test_elasticities_sum_to_one_whatever_part_is_waiting(shares):
    found = elasticities(shares)
    assert math.fsum(found.values()) == pytest.approx(1.0 if set(shares) - {"queueing"} else 0.0, abs=1e-9)


def test_the_shares_of_each_workload_sum_to_one(found):
    for profile in found.profiles:
        assert math.fsum(profile.elasticities.values()) == pytest.approx(1.0, abs=1e-9)


def test_reruns_with_each_resource_changed_agree_with_the_shares(found):
    for profile in found.profiles:
        assert set(profile.measured) == set(RESOURCES)
        assert profile.gain == pytest.approx(1.0, abs=0.02)
        assert profile.largest_difference < 0.02, profile.label


def test_training_and_prefill_are_bound_by_compute_and_decode_by_memory_bandwidth(found):
    leaders = {each.label: max(each.elasticities, key=each.elasticities.get) for each in found.profiles}
    assert leaders == {"training": "compute", "prefill": "compute", "decode": "memory_bandwidth"}


def test_a_curve_goes_through_one_and_never_falls_with_a_faster_resource(found):
    for profile in found.profiles:
        assert len(profile.curves) == 6
        for curve in profile.curves.values():
            assert curve.gains[1.0] == 1.0
            assert all(later > 0.999 * earlier for earlier, later in pairwise(curve.gains.values()))


def test_no_resource_alone_brings_more_than_it_is_faster(found):
    for profile in found.profiles:
        for curve in profile.curves.values():
            assert all(gain <= factor * 1.001 for factor, gain in curve.gains.items() if factor > 1.0)


def test_what_cannot_run_with_a_slower_resource_is_no_point_of_its_curve():
    curve = curves(2.0, {("compute", 2.0): 3.0}, {("compute", 0.5): "does not fit"})["compute"]
    assert curve.gains == {1.0: 1.0, 2.0: 1.5}
    assert curve.reasons == {0.5: "does not fit"}


def test_the_need_of_a_unit_of_work_is_what_the_model_takes(found):
    parameters = found["prefill"].facts["parameters"]
    assert found["prefill"].need.flops == pytest.approx(2.0 * parameters, rel=0.15)
    assert found["training"].need.flops == pytest.approx(8.0 * parameters, rel=0.15)
    decode = found["decode"].need
    weights_per_token = 2.0 * parameters / 8  # eight clients share each reading of the weights
    assert decode.hbm_bytes == pytest.approx(weights_per_token, rel=0.25)


def test_use_of_the_devices_follows_from_needs_and_pace(found):
    need = found["decode"].need
    peak = 312e12 * need.gpus
    assert need.compute_utilization == pytest.approx(need.flops * need.units_per_s / peak, rel=1e-6)
    assert 0.3 < need.memory_utilization < 1.0


@given(fill=st.floats(0.01, 1.0), used=st.floats(0.001, 1.0))
def test_memory_that_goes_with_the_arithmetic_lies_on_the_ring_of_a_half(fill, used):
    need = Need(
        unit="token",
        units_per_s=1.0,
        flops=1.0,
        hbm_bytes=1.0,
        network_bytes=0.0,
        messages=0.0,
        gpus=1.0,
        accelerator="",
        compute_utilization=used,
        memory_utilization=None,
        network_utilization=None,
        memory_fill=fill,
    )
    per_flop = need.memory_per_flop
    assert (per_flop / (1.0 + per_flop) > 0.5) == (fill > used)


def test_every_workload_of_a_scenario_is_a_polygon():
    both = scenario({**TRAINING, "gpus": 8, "placement": {"nodes": [0]}}, DECODE)
    assert [each.label for each in subjects(both)] == ["train", "decode"]
    assert [each.label for each in subjects({"a": both})] == ["a: train", "a: decode"]
    assert [each.label for each in subjects(both, workloads=["decode"])] == ["decode"]


@pytest.mark.parametrize(
    ("scenarios", "workloads", "words"),
    [
        ([SMALL["training"], SMALL["training"]], (), "two workloads are called 'small'"),
        (SMALL, ("decod",), "Did you mean 'decode'"),
        ([], (), "no workload to draw"),
        ("scenarios/radar/llm-decod.yaml", (), "Did you mean 'scenarios/radar/llm-decode.yaml'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(scenarios, workloads, words):
    with pytest.raises(InputError, match=words):
        cs.radar(scenarios, workloads=workloads)


def test_a_workload_that_does_not_fit_is_left_out_and_says_why():
    big = scenario({**TRAINING, "model": "llama-2-70b", "parallelism": {}})
    radar = cs.radar({"big": big, "decode": SMALL["decode"]}, check=False, what_if=False, memory=False)
    assert [each.label for each in radar.profiles] == ["decode"]
    assert "GPU memory" in radar.failed["big"]
    with pytest.raises(CannotRunError, match="GPU memory"):
        cs.radar({"big": big}, check=False, what_if=False, memory=False)


def test_a_radar_that_was_stopped_goes_on_with_what_is_kept(tmp_path, monkeypatch):
    runs = []
    simulate = records.simulate

    def counted(each):
        if len(runs) == 4:
            raise KeyboardInterrupt
        runs.append(each)
        return simulate(each)

    monkeypatch.setattr("clustersim.study.running.simulate", counted)
    with pytest.raises(KeyboardInterrupt):
        cs.radar({"decode": SMALL["decode"]}, store=tmp_path, jobs=1, what_if=False, memory=False)
    assert len(list(tmp_path.glob("*.json"))) == 4
    monkeypatch.setattr("clustersim.study.running.simulate", simulate)
    again = cs.radar({"decode": SMALL["decode"]}, store=tmp_path, jobs=1, what_if=False, memory=False)
    assert len(list(tmp_path.glob("*.json"))) == 1 + 2 * len(RESOURCES)
    assert set(again["decode"].measured) == set(RESOURCES)


def test_memory_that_is_not_full_is_worth_nothing_and_its_pressure_is_what_devices_hold_over_do():
    profile = cs.radar({"decode": SMALL["decode"]}, check=False, what_if=False)["decode"]
    assert profile.price.elasticity == pytest.approx(0.0, abs=1e-9)
    busiest = max(profile.need.compute_utilization, profile.need.memory_utilization)
    assert profile.memory.pressure == pytest.approx(profile.need.memory_fill / busiest)
    assert not profile.measured


def test_progress_goes_from_the_first_run_to_all_of_them():
    seen = []
    decode = {"decode": SMALL["decode"]}
    cs.radar(decode, what_if=False, memory=False, progress=lambda done, clock: seen.append((done, clock)))
    assert seen == sorted(seen)
    assert seen[-1][0] == 1.0


def test_what_is_saved_says_the_same_as_the_frames(found, tmp_path):
    found.save(tmp_path)
    document = json.loads((tmp_path / "radar.json").read_text())
    frame = found.frame().set_index(["workload", "resource"])
    for each in document["workloads"]:
        for resource, share in each["elasticities"].items():
            assert frame.loc[(each["workload"], resource), "elasticity"] == share
    assert {path.name for path in tmp_path.iterdir()} >= {
        "radar.json",
        "summary.txt",
        "elasticities.csv",
        "needs.csv",
        "what-if.csv",
        "radar.png",
        "what-if.svg",
    }


def test_the_summary_names_what_binds_each_workload(found):
    text = found.summary(width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "decode: memory bandwidth first" in text


def test_requests_at_their_own_pace_are_measured_by_their_time():
    open_loop = {**DECODE, "arrivals": {"kind": "poisson", "rate": "2/s"}}
    subject = subjects({"open": scenario(open_loop)})[0]
    record = records.simulate(subject.scenario)
    assert subject.objective(record) == pytest.approx(1.0 / record.metrics["decode"]["e2e_s.mean"])
    assert subject.objective_words == "speed of a request (1 / its mean time)"


def test_what_a_resource_brings_is_as_reruns_measure_it_and_not_said_of_open_loops_without_them():
    busy = scenario({**DECODE, "arrivals": {"kind": "poisson", "rate": "6/s"}, "requests": 40})
    checked = cs.radar({"open": busy}, what_if=False, memory=False)
    profile = checked["open"]
    leader = max(profile.elasticities, key=profile.elasticities.get)
    more = 1.1 ** profile.measured[leader].elasticity - 1.0
    text = " ".join(checked.summary().split())
    assert f"10 % more of it gives about {percent(more)} more speed of a request" in text
    unchecked = cs.radar({"open": busy}, check=False, what_if=False, memory=False)
    assert "10 % more" not in unchecked.summary()


def test_a_record_keeps_shares_by_class_and_facts(tmp_path: Path):
    record = records.simulate(SMALL["decode"])
    assert math.fsum(record.shares["decode"].values()) == pytest.approx(1.0, abs=1e-9)
    assert not any(":" in name for name in record.shares["decode"])
    assert record.facts["decode"]["model"] == "llama-2-7b"
    store = records.RunStore(tmp_path)
    store.put(record)
    assert store.get(record.identity) == record


def test_the_shipped_scenarios_are_the_librarys_whatever_lies_in_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "scenarios" / "radar").mkdir(parents=True)
    (tmp_path / "scenarios" / "radar" / "llm-training.yaml").write_text("name: another\n")
    monkeypatch.chdir(tmp_path)
    assert [each.name for each in shipped_scenarios().values()] == list(SHIPPED.values())
    assert set(SHIPPED.values()) == {
        Path(name).stem for name in shipped.names("scenarios") if name.startswith("scenarios/radar/")
    }
