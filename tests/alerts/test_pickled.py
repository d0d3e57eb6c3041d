import pickle
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest

from cherenkov_pipeline.alerts.files import read_sub_images
from cherenkov_pipeline.alerts.pickled import convert_pickle
from cherenkov_pipeline.errors import UserError

RNG = np.random.default_rng(0)
IMAGES = [RNG.normal(size=shape).astype(np.float32) for shape in [(56, 56), (56, 40), (31, 56)]]
LABELS = [1, 0, 1]
MAXIMA, SPREADS = [9.5, 8.0, 20.0], [1.0, 1.5, 1.2]


def _records(**others):
    return [
        {"image": image, "label": label, "snr_max": high, "snr_std": spread, **others}
        for image, label, high, spread in zip(IMAGES, LABELS, MAXIMA, SPREADS, strict=True)
    ]


def _pickled(path, content, protocol=pickle.DEFAULT_PROTOCOL):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


LAYOUTS = {
    "table": pd.DataFrame({"SubImage": IMAGES, "verdict": [True, False, True], "SNRmax": MAXIMA, "snr_std": SPREADS}),
    "indexed table": pd.DataFrame(_records()).set_index(pd.Index([5, 7, 9])),
    "table with texts": pd.DataFrame(_records()).assign(comment=["a", "b", "c"]),
    "columns": {"images": IMAGES, "labels": np.array(LABELS), "snr_max": np.array(MAXIMA), "snr_std": SPREADS},
    "ordered columns": OrderedDict(images=IMAGES, labels=LABELS, snr_max=MAXIMA, snr_std=tuple(SPREADS)),
    "records": _records(),
    "records by name": {f"alert{at}": record for at, record in enumerate(_records())},
    "texts as labels": [{**record, "label": "true" if record["label"] else "false"} for record in _records()],
    "channels": [{**record, "image": record["image"][None]} for record in _records()],
}
PLAIN_LAYOUTS = {
    "pairs": list(zip(IMAGES, LABELS, strict=True)),
    "images and labels": (IMAGES, LABELS),
    "numpy labels": (IMAGES, np.array(LABELS)),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("layout", LAYOUTS | PLAIN_LAYOUTS)
def test_sensible_layouts_are_converted(tmp_path, layout, protocol):
    path = _pickled(tmp_path / "dataset_2.pkl", (LAYOUTS | PLAIN_LAYOUTS)[layout], protocol)
    converted = convert_pickle(path, tmp_path / "dataset_2.h5", trust_pickle=True)
    read = read_sub_images(tmp_path / "dataset_2.h5")
    np.testing.assert_array_equal(read.snr, converted.snr)
    assert read.table["is_real"].tolist() == [True, False, True]
    if layout in LAYOUTS:
        assert read.table["snr_max"].tolist() == MAXIMA
        assert read.table["snr_std"].tolist() == SPREADS
    assert (np.isfinite(read.snr).sum(axis=(1, 2)) <= [image.size for image in IMAGES]).all()
    np.testing.assert_allclose(np.nanmax(read.snr, axis=(1, 2)), [image.max() for image in IMAGES])


def test_pickles_of_older_numpy_are_read(tmp_path):
    content = pickle.dumps(_records(), protocol=2)
    assert b"numpy._core" in content
    (tmp_path / "old.pkl").write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    converted = convert_pickle(tmp_path / "old.pkl", tmp_path / "out.npz", trust_pickle=True)
    assert converted.table["snr_max"].tolist() == MAXIMA


def test_pickle_is_not_opened_unless_trusted(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    path = _pickled(tmp_path / "trap.pkl", [Trap()])
    for trusted, problem in [(False, "If you trust"), (True, "which is not taken")]:
        with pytest.raises(UserError, match=problem):
            convert_pickle(path, tmp_path / "out.h5", trust_pickle=trusted)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        b"cnumpy\nload\n.",
        b"cpandas\nread_pickle\n.",
        b"cnumpy.testing\nrundocs\n.",
    ],
)
def test_programs_do_not_run_even_if_trusted(tmp_path, program):
    (tmp_path / "bad.pkl").write_bytes(program)
    with pytest.raises(UserError, match="which is not taken"):
        convert_pickle(tmp_path / "bad.pkl", tmp_path / "out.h5", trust_pickle=True)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "a list that is empty"),
        (7, "holds a int"),
        ([(IMAGES[0], 1, 9.5, 1.0)], "a list of 1, the first a tuple of ndarray, int, float, float"),
        (np.zeros((3, 4)), "an array of shape"),
        ({"labels": [1, 0]}, "no column of images"),
        ({"images": IMAGES, "labels": 1}, "labels of the dict are no columns"),
        ([{"image": IMAGES[0], "label": 1}, {"image": IMAGES[1]}], "entry 1 lacks label"),
        ([{"image": IMAGES[0], "label": 3}], "a label is true or false"),
        ([{"image": "none", "label": 1}], "image 0: A sub-image is a table of numbers"),
    ],
)
def test_what_is_not_understood_is_told(tmp_path, content, problem):
    with pytest.raises(UserError, match=problem) as caught:
        convert_pickle(_pickled(tmp_path / "own.pkl", content), tmp_path / "out.h5", trust_pickle=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.h5").exists()


def test_what_is_left_out_is_told(tmp_path, caplog):
    records = _records(light_curve=np.zeros(5), comment="x")
    converted = convert_pickle(_pickled(tmp_path / "own.pkl", records), tmp_path / "out.h5", trust_pickle=True)
    assert "light_curve is left out" in caplog.text
    assert "light_curve" not in converted.table.colnames
    assert converted.table["comment"].tolist() == ["x"] * 3
    convert_pickle(_pickled(tmp_path / "own.pkl", IMAGES), tmp_path / "out.h5", trust_pickle=True)
    assert "no labels that are understood" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"text", b"\x80\x04\x95\xff\xff"])
def test_broken_pickles_are_told(tmp_path, content):
    (tmp_path / "broken.pkl").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a pickle"):
        convert_pickle(tmp_path / "broken.pkl", tmp_path / "out.h5", trust_pickle=True)
    with pytest.raises(UserError, match="There is no"):
        convert_pickle(tmp_path / "missing.pkl", tmp_path / "out.h5", trust_pickle=True)
