"""The pictures of a radar: where corners lie, what tells polygons apart, what the caption pins."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.colors import to_rgb

import clustersim as cs
from clustersim.errors import InputError
from clustersim.report.plots._radar_marks import looks
from clustersim.report.plots._radar_web import place
from clustersim.report.plots.radar import radar_picture
from clustersim.report.plots.radar_moves import moves
from clustersim.study.radar import Profile, Radar
from clustersim.study.radar.needs import Need
from clustersim.study.radar.result import AXES
from clustersim.study.radar.what_if import Curve
from clustersim.study.radar.workload import Subject

NEED = Need(
    unit="token",
    units_per_s=1e5,
    flops=1.4e11,
    hbm_bytes=2e8,
    network_bytes=4e7,
    messages=1.5,
    gpus=64.0,
    accelerator="h100-sxm5-80gb",
    compute_utilization=0.4,
    memory_utilization=0.2,
    network_utilization=0.1,
    memory_fill=0.2,
)
SHARES = {
    "compute": 0.64,
    "memory_bandwidth": 0.2,
    "network_bandwidth": 0.09,
    "network_latency": 0.04,
    "host": 0.03,
}
FACTS = {"model": "llama-2-70b", "layout": "tensor 8 × data 8", "gpus": 64.0}


def profile(label: str, stem: str, *, fabric: str | None = None, **changes: object) -> Profile:
    scenario = cs.load(f"scenarios/radar/{stem}.yaml")
    if fabric is not None:
        scenario = scenario.with_(**{"cluster.fabric.bandwidth": fabric})
    given = {
        "elasticities": SHARES,
        "need": NEED,
        "memory": None,
        "price": None,
        "measured": {},
        "curves": {},
        "facts": FACTS,
        "reasons": {},
    }
    return Profile(subject=Subject(label, scenario, stem), **{**given, **changes})


def radar(*profiles: Profile, **failed: str) -> Radar:
    return Radar(profiles=profiles, failed=failed)


BOTH = radar(
    profile("LLM training", "llm-training"),
    profile("LLM prefill", "llm-prefill"),
    profile("LLM decode", "llm-decode"),
)


def texts(picture):
    return [text.get_text() for text in picture.findobj(lambda artist: hasattr(artist, "get_text"))]


def polygons(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_a_corner_lies_on_its_axis_at_the_root_of_the_share():
    axes = BOTH.plot.radar().axes[0]
    line = polygons(axes)["LLM training"]
    corners = list(zip(line.get_xdata(), line.get_ydata(), strict=True))
    assert corners[0] == corners[-1]
    for number, name in enumerate(AXES):
        radius = BOTH["LLM training"].radius(name)
        assert math.hypot(*corners[number]) == pytest.approx(math.sqrt(radius))
        assert corners[number] == pytest.approx(place(number, radius))


def test_the_first_axis_is_at_the_top_and_the_others_follow_clockwise():
    assert place(0, 1.0) == pytest.approx((0.0, 1.0))
    x, y = place(1, 1.0)
    assert x > 0.0
    assert y > 0.0


def test_training_stands_left_of_inference():
    left, right = BOTH.plot.radar().axes[:2]
    assert (left.get_title(), right.get_title()) == ("Training", "Inference")
    assert left.get_position().x0 < right.get_position().x0
    assert set(polygons(left)) == {"LLM training"}
    assert set(polygons(right)) == {"LLM prefill", "LLM decode"}


def test_services_alone_have_one_web():
    picture = radar(profile("LLM decode", "llm-decode")).plot.radar()
    assert [axes.get_title() for axes in picture.axes if axes.get_title()] == ["Inference"]


def test_polygons_differ_in_line_and_mark_where_there_is_no_colour():
    found = list(looks([profile(str(number), "llm-decode") for number in range(7)]).values())
    for one, other in combinations(found, 2):
        assert one.mark != other.mark
        assert one.line != other.line
        assert one.color != other.color


def test_colours_of_the_five_shipped_workloads_differ_in_grey_or_in_hue():
    found = list(looks([profile(str(number), "llm-decode") for number in range(5)]).values())
    for one, other in combinations(found, 2):
        distance = math.dist(to_rgb(one.color), to_rgb(other.color))
        assert distance > 0.25


def test_the_picture_pins_hardware_scale_and_plan():
    words = " ".join(texts(BOTH.plot.radar()))
    assert "64 × h100-sxm5-80gb" in words
    assert "8 dgx-h100" in words
    assert "infiniband-ndr" in words
    assert "tensor 8 × data 8" in words
    assert "global batch 128" in words
    assert "640 clients" in words


def test_workloads_on_different_hardware_have_it_each_in_its_own_line():
    slow = profile("slow", "llm-decode", fabric="100 Gbit/s")
    words = "\n".join(texts(radar(slow, profile("fast", "llm-decode")).plot.radar()))
    assert "on 64 × h100-sxm5-80gb, rail-optimized network of 8 dgx-h100, 100 Gbit/s" in words
    assert "dgx-h100, infiniband-ndr" in words


def test_the_table_has_the_numbers_of_each_polygon():
    words = texts(BOTH.plot.radar())
    for cell in ("64 %", "20 %", "9.0 %", "4.0 %", "3.0 %", "0.5x", "140 G", "200 MB", "40.0 MB", "1.50"):
        assert words.count(cell) >= 3, cell


def test_a_workload_that_is_left_out_is_named():
    study = radar(profile("LLM decode", "llm-decode"), huge="does not fit")
    assert "Left out: huge: does not fit" in " ".join(texts(study.plot.radar()))


def test_a_what_if_line_ends_where_the_workload_cannot_run():
    curve = Curve("memory_capacity", {1.0: 1.0, 2.0: 1.5, 4.0: 1.6}, {0.5: "does not fit"})
    study = radar(profile("LLM decode", "llm-decode", curves={"memory_capacity": curve}))
    picture = study.plot.what_if()
    panel = next(axes for axes in picture.axes if axes.get_title(loc="left") == "memory capacity")
    assert list(polygons(panel)["LLM decode"].get_xdata()) == [1.0, 2.0, 4.0]
    assert "LLM decode cannot run at ×½" in texts(panel)


def test_without_what_if_runs_there_are_no_curves_to_draw():
    assert [name for name, _ in BOTH.plot.all()] == ["radar"]
    with pytest.raises(InputError, match="without what-if runs"):
        BOTH.plot.what_if()


def test_a_radar_shows_itself_in_a_notebook():
    assert BOTH._repr_png_().startswith(b"\x89PNG")


def test_the_same_radar_gives_the_same_file(tmp_path):
    for name in ("one.svg", "other.svg"):
        radar_picture(BOTH, title="What each workload needs").save(tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def test_moves_have_a_web_for_each_workload_and_a_polygon_for_each_radar():
    faster = profile("LLM decode", "llm-decode", need=replace(NEED, units_per_s=2e5))
    picture = moves(
        {"slow": BOTH, "fast": radar(faster, huge="does not fit")}, title="moves", subtitle="on all"
    )
    assert "on all" in texts(picture)
    webs = {axes.get_title(): axes for axes in picture.axes if axes.get_title()}
    assert set(webs) == {"LLM training", "LLM prefill", "LLM decode"}
    assert "pace: ×1, ×2" in texts(webs["LLM decode"])
    assert "pace: ×1, -" in texts(webs["LLM training"])
    lines = [line for line in webs["LLM decode"].get_lines() if line.get_label() == "LLM decode"]
    assert len(lines) == 2
    assert len({line.get_marker() for line in lines}) == 2


@pytest.mark.parametrize("count", [0, 6])
def test_more_radars_than_can_be_told_apart_are_refused(count):
    with pytest.raises(InputError, match="from 1 to 5"):
        moves({str(number): BOTH for number in range(count)}, title="")
