import base64
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest

from edgecap.packets.summary import Summary, Timeline
from edgecap.report.charts.series import series
from edgecap.report.charts.timeline import BROAD, NARROW, as_image, timeline_chart
from tests.edgecap.report.summaries import START, flood, nothing, quiet, reflection, timeline

SVG = "{http://www.w3.org/2000/svg}"


def drawn(summary, **options):
    return ET.fromstring(timeline_chart(summary, **options).encode())


def titles(picture):
    return [each.text for each in picture.iter(f"{SVG}title")]


def test_no_packet_is_lost_when_steps_are_put_together():
    line = flood().timeline
    for most in (1, 7, 50, 1000):
        bars = series(line, most).bars
        assert len(bars) <= max(most, 1)
        total = sum(bar.packets * (bar.ends - bar.begins).total_seconds() for bar in bars)
        assert total == pytest.approx(sum(line.packets))
        assert bars[0].begins == line.start
        assert bars[-1].ends == line.start + timedelta(seconds=60)


def test_a_bar_says_what_it_shows():
    line = Timeline(
        start=START,
        seconds=0.5,
        packets=(500,),
        bytes=(64_000,),
        tcp=(450,),
        udp=(50,),
        icmp=(0,),
        other=(0,),
    )
    (bar,) = series(line, 10).bars
    assert bar.told(sampled=False) == (
        "06:34:06.25 UTC, 500 ms: 1 kpps (TCP 900 pps, UDP 100 pps), 1.02 Mbit/s"
    )


def test_an_unknown_kind_is_an_alert():
    line = Timeline(
        start=START, seconds=1, packets=(10,), bytes=(600,), tcp=(4,), udp=(0,), icmp=(0,), other=(0,)
    )
    assert series(line, 10).bars[0].kinds == (4, 0, 0, 6)


def test_the_picture_is_xml_with_a_title_for_each_bar():
    picture = drawn(flood())
    assert titles(picture)[0].startswith("Packets a second from 2026-11-23 06:34:06")
    assert len(titles(picture)) == 1 + 120
    assert "TCP" in titles(picture)[60]


def test_all_kinds_are_drawn_in_their_colour():
    classes = {path.get("class") for path in drawn(flood()).iter(f"{SVG}path")}
    assert {"tcp", "udp", "bits"} <= classes


def test_nothing_is_drawn_outside_the_picture():
    for width in (BROAD, NARROW, 820):
        picture = drawn(reflection(), width=width)
        for each in picture.iter(f"{SVG}text"):
            long = len(each.text) * 6.2
            left = {"end": -long, "middle": -long / 2}.get(each.get("text-anchor"), 0) + float(each.get("x"))
            # What is centred on the last mark may reach into the page's margin, which has 14 pixels or more.
            assert left > -14, each.text
            assert left + long < width + 14, each.text


def test_a_day_s_timeline_is_no_larger_than_a_minute_s():
    day = timeline(START, 0.1, 864_000, lambda kind, _: 50 if kind == "udp" else 1)
    large = Summary(verdict="", timeline=day, packets=sum(day.packets))
    assert len(timeline_chart(large)) < 2 * len(timeline_chart(flood()))


@pytest.mark.parametrize(
    "line",
    [
        Timeline(),
        Timeline(
            start=START, packets=(0, 0), bytes=(0, 0), tcp=(0, 0), udp=(0, 0), icmp=(0, 0), other=(0, 0)
        ),
        Timeline(
            start=START, seconds=0, packets=(1,), bytes=(60,), tcp=(1,), udp=(0,), icmp=(0,), other=(0,)
        ),
    ],
)
def test_without_packets_there_is_no_picture(line):
    assert timeline_chart(Summary(verdict="", timeline=line)) is None
    assert timeline_chart(nothing()) is None


def test_one_packet_is_a_picture_too():
    line = Timeline(
        start=START, seconds=1, packets=(1,), bytes=(60,), tcp=(1,), udp=(0,), icmp=(0,), other=(0,)
    )
    assert drawn(Summary(verdict="", packets=1, timeline=line)).get("viewBox") == "0 0 880 302"


def test_an_image_has_its_own_colours():
    address = as_image(timeline_chart(quiet(), width=820, hover=False), 820)
    kind, _, data = address.partition(",")
    picture = ET.fromstring(base64.b64decode(data))
    assert kind == "data:image/svg+xml;base64"
    assert picture.get("viewBox").startswith("-12 -10 844 ")
    style = picture.find(f"{SVG}style").text
    assert "prefers-color-scheme:dark" in style
    assert ".tcp{fill:var(--tcp)}" in style
    assert picture.find(f"{SVG}rect").get("class") == "ground"
