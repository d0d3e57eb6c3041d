import base64
import io
import json
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from tests.alerts.service.test_notices import notice
from tests.alerts.test_verdict import lenient, silenced, with_card
from tests.alerts.toy_bundle import card
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.bundle import Anomaly, write_bundle
from cherenkov_pipeline.alerts.images import CENTER, SIZE
from cherenkov_pipeline.alerts.service.notices import read_notice
from cherenkov_pipeline.alerts.service.page import render_index, render_page, with_notice
from cherenkov_pipeline.alerts.service.pictures import DIVERGING, NO_DATA, codes_png, diverging_png, sequential_png
from cherenkov_pipeline.alerts.service.record import as_json, verdict_record
from cherenkov_pipeline.alerts.verdict import judge

SOURCE = {"file": "a.npz", "input_sha256": "ab" * 32, "burst_id": "sb1", "judged": "2026-11-21T03:12:44.123+00:00"}


def made(bundle, row=0, source=SOURCE, notice=None, images=None, output=None):
    images = toy_images(2)[row : row + 1] if images is None else images
    (verdict,) = judge(bundle, images)
    record = verdict_record(verdict, bundle, source, notice)
    return record, render_page(verdict, images, bundle, record, notice, output)


class Text(HTMLParser):
    """What a page says, and what it would load."""

    def __init__(self, page):
        super().__init__()
        self.text, self.addresses, self.open = "", [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "path", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("path",):
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def pixels(address):
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def rgb(name):
    return [int(name[begin : begin + 2], 16) for begin in (1, 3, 5)]


def test_record_has_the_names_of_the_schema(bundle):
    found = read_notice(
        notice("sb1", snr="9.5").replace("<What>", '<What><Param name="Timescale" value="20.48"/>').encode()
    )
    record, _ = made(bundle, notice=found)
    assert json.loads(as_json(record)) == record
    assert record["classification"]["true source"] == record["p_astro"]
    assert sum(record["classification"].values()) == pytest.approx(1)
    assert record["image_snr"] == pytest.approx(float(toy_images(1).table["snr_max"][0]), rel=1e-5)
    assert record["image_duration"] == 20.48
    assert record["notice"]["snr"] == 9.5
    assert [model["sha256"] for model in record["models"]] == [member.sha256 for member in bundle.card.members]
    assert record["simulated_training"] is True
    assert np.shape(record["cam"]) == (14, 14)
    assert record["versions"] == {"cherenkov_pipeline": "0.1.0"}
    # a row of numbers is one line
    assert as_json(record).count("\n") < 200


def test_page_needs_nothing_else(bundle):
    _, page = made(bundle)
    parsed = Text(page)
    assert len(parsed.addresses) == 3 + 5
    assert all(address.startswith("data:image/png;base64,") for address in parsed.addresses)
    assert "url(" not in page
    assert "<script" not in page
    assert len(page) < 100_000


@pytest.mark.parametrize(("row", "name"), [(0, "true source"), (1, "false alert")])
def test_verdict_stands_at_the_top(bundle, row, name):
    record, page = made(lenient(bundle), row)
    assert record["verdict_name"] == name
    assert Text(page).text.split("What the models saw")[0].count(name) >= 2
    assert f"at most 5\u00a0% of the verdicts “{name}” are wrong (with 90\u00a0% certainty" in page
    assert "simulated images, not on flight data" in page
    assert 'class="reasons"' not in page


def test_reasons_are_shown_when_it_is_unsure(bundle):
    record, page = made(
        lenient(bundle, smallest_valid_fraction=1.0, largest_disagreement=0.0), images=toy_images(9)[8:9]
    )
    assert record["verdict"] == "unsure"
    for reason in record["unsure_reasons"]:
        assert reason["sentence"] in Text(page).text.replace("\u00a0", " ")
    assert "are wrong" not in page  # that is promised of given verdicts alone


def test_without_a_number_there_is_a_page_all_the_same(bundle):
    record, page = made(silenced(bundle))
    assert json.loads(as_json(record))["p_astro"] is None
    assert "No probability" in Text(page).text


def test_bundle_of_networks_alone(bundle_path, tmp_path):
    files = {path.name: path for path in bundle_path.glob("*.onnx")}
    alone = write_bundle(card(anomaly=Anomaly(), neighbours=None), files, tmp_path / "alone")
    record, page = made(alone)
    assert (record["anomalies"], record["neighbours"]) == ({}, [])
    assert len(Text(page).addresses) == 3
    assert "Unlike the training images" not in page


def test_page_of_a_verdict_without_a_log_offers_no_confirmation(bundle):
    assert "kedro alerts confirm" not in made(bundle)[1]


@pytest.mark.parametrize("row", [0, 1])
def test_line_to_copy_names_the_folder_and_no_verdict(bundle, tmp_path, row):
    output = tmp_path / "the night's <verdicts>"
    page = made(bundle, row, output=output)[1]
    (line,) = [line for line in Text(page).text.splitlines() if line.startswith("kedro alerts confirm")]
    _, _, _, alert, verdict, *options = shlex.split(line)
    assert (alert, verdict) == (SOURCE["input_sha256"][:12], "true|false|unsure")
    assert options[options.index("--output") + 1] == str(output)


def test_page_says_what_counts_as_a_true_source(bundle):
    assert "“True source” means: grb, known source." in made(bundle)[1]
    label_map = bundle.card.label_map | {"known_source": False}
    assert "“True source” means: grb." in made(with_card(bundle, label_map=label_map))[1]


def test_trained_on_flight_data_it_does_not_warn(bundle):
    assert "not on flight data" not in made(with_card(bundle, simulated=False))[1]


def test_what_others_write_is_escaped(bundle):
    evil = '<script>alert("x")</script>'
    found = read_notice(
        notice("sb1").replace("<What>", '<What><Param name="Slew_Status" value="&lt;script&gt;"/>').encode()
    )
    images = toy_images(1)
    images.table["image_id"] = [evil]
    _, page = made(bundle, source=SOURCE | {"file": evil, "burst_id": evil}, notice=found, images=images)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_notice_that_comes_later_makes_the_same_page(bundle):
    found = read_notice(notice("sb1", snr="9.75").encode())
    before, at_once = made(bundle)[1], made(bundle, notice=found)[1]
    without_time = [re.sub(r"[\d.]+ ms", "", page) for page in (with_notice(before, found), at_once)]
    assert without_time[0] == without_time[1]
    assert "9.75" not in before


def test_count_rate_trigger_is_warned_of(bundle):
    found = read_notice(notice("sb1").replace("<What>", '<What><Param name="Trigger_Type" value="CRT"/>').encode())
    assert "count rate trigger (CRT)" in made(bundle, notice=found)[1]


def test_index_lists_verdicts():
    line = {"event": "verdict", "image_snr": 8.0, "page": "verdicts/a-1.html", "time": SOURCE["judged"], **SOURCE}
    rejected = {"event": "rejected", "record": "rejected/b.json", "reason": "It is <empty>.", "file": "b.npz"}
    lines = [
        line | {"verdict": "real", "confidence_pct": 99.1},
        line | {"verdict": "unsure", "confidence_pct": None},
        rejected | {"time": SOURCE["judged"]},
    ]
    page = render_index(lines)
    assert Text(page).addresses == ["verdicts/a-1.html", "verdicts/a-1.html", "rejected/b.json"]
    assert "It is <empty>." in Text(page).text
    assert "No verdict yet" in render_index([])


def test_pictures_are_the_arrays():
    image = np.zeros((SIZE, SIZE))
    image[3, 5], image[10, 12], image[0, 0] = 10, -3, np.nan
    drawn = pixels(sequential_png(image, -3, 10))
    assert drawn.shape == (SIZE, SIZE, 3)
    assert list(drawn[3, 5]) == rgb("#fcf3b8")
    assert list(drawn[10, 12]) == rgb("#0b1026")
    assert list(drawn[0, 0]) == rgb(NO_DATA)
    cam = np.zeros((SIZE, SIZE))
    cam[1, 2], cam[2, 1] = 4, -4
    drawn = pixels(diverging_png(cam))
    assert [list(drawn[at]) for at in ((1, 2), (2, 1), (9, 9))] == [rgb(DIVERGING[at]) for at in (-1, 0, 3)]
    assert (pixels(diverging_png(np.zeros((4, 4)))) == rgb(DIVERGING[3])).all()
    weak = pixels(diverging_png(cam / 100, least=4))
    assert abs(weak.astype(int) - rgb(DIVERGING[3])).max() < 8
    codes = toy_images(1).codes[0]
    assert list(pixels(codes_png(codes))[CENTER, CENTER]) == rgb("#0b62a4")


def test_what_is_not_in_the_map_is_said(bundle):
    images = toy_images(1)
    (verdict,) = judge(bundle, images)
    record = verdict_record(verdict, bundle, SOURCE)
    members = [
        one.model_copy(update={"preparation": one.preparation.model_copy(update={"features": True})})
        for one in bundle.card.members
    ]
    said = "numbers measured on the image"
    assert said not in render_page(verdict, images, bundle, record)
    assert said in render_page(verdict, images, with_card(bundle, members=members), record)
