import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, QTable, Table, vstack

from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.selection import require_selected, select, sum_counts
from cherenkov_pipeline.errors import UserError


@pytest.fixture
def table() -> Table:
    """Images of 200 events on up to three telescopes; some not parametrised."""
    random = np.random.default_rng(1)
    seen = random.random((200, 3)) < 0.6
    event, telescope = np.nonzero(seen)
    n = len(event)
    intensity = random.lognormal(4.5, 1, n)
    intensity[::17] = np.nan
    return Table(
        {
            "obs_id": np.repeat([1, 2], [n // 2, n - n // 2]).astype(np.int32),
            "event_id": event.astype(np.int64),
            "tel_id": (telescope + 1).astype(np.int16),
            "hillas_intensity": intensity,
            "leakage_intensity_width_2": random.random(n),
            "morphology_n_pixels": random.integers(0, 30, n),
            "true_energy": random.lognormal(0, 1, n) * u.TeV,
        }
    )


def chosen(table: Table, **cuts) -> np.ndarray:
    return select(table, SelectionParameters(**{"quality": {}, **cuts}))[0]


def test_defaults_are_the_conditions_by_hand(table):
    mask, _ = select(table, SelectionParameters())

    expected = (
        (table["hillas_intensity"] > 50)
        & (table["leakage_intensity_width_2"] < 0.7)
        & (table["morphology_n_pixels"] >= 3)
    )
    assert 0 < mask.sum() < len(table)
    np.testing.assert_array_equal(mask, expected)


def test_counts_close_at_every_step(table):
    cuts = SelectionParameters(telescope_ids=(1, 3), truth={"high energy": "true_energy > 0.5"}, min_telescopes=2)
    mask, counts = select(table, cuts)

    assert list(counts["cut"]) == [
        "read", "telescopes", "enough intensity", "not clipped", "enough pixels", "high energy", "multiplicity",
    ]  # fmt: skip
    np.testing.assert_array_equal(counts["n_in"], counts["n_cut"] + counts["n_out"])
    np.testing.assert_array_equal(counts["n_in"][1:], counts["n_out"][:-1])
    assert counts["n_in"][0] == len(table)
    assert counts["n_out"][-1] == mask.sum() > 0
    assert (counts["n_cut"][1:] > 0).all(), "each cut has something to do in this sample"


def test_order_of_rows_does_not_matter(table):
    cuts = SelectionParameters(min_telescopes=2)
    order = np.random.default_rng(2).permutation(len(table))

    np.testing.assert_array_equal(select(table[order], cuts)[0], select(table, cuts)[0][order])


def test_selected_images_pass_again(table):
    cuts = SelectionParameters(min_telescopes=2)

    assert select(table[select(table, cuts)[0]], cuts)[0].all()


def test_multiplicity_counts_selected_telescopes_of_an_event():
    rows = [(1, 7, 1, 99.0), (1, 7, 2, 99.0), (2, 7, 1, 99.0), (1, 8, 1, 99.0), (1, 8, 2, 1.0)]
    table = Table(rows=rows, names=("obs_id", "event_id", "tel_id", "hillas_intensity"))

    # events of equal number in two runs are two events, and a weak image does not count
    mask = chosen(table, quality={"bright": "hillas_intensity > 50"}, min_telescopes=2)
    np.testing.assert_array_equal(mask, [True, True, False, False, False])


def test_truth_can_be_left_out(table):
    cuts = SelectionParameters(quality={}, truth={"high energy": "true_energy > 1"})

    assert select(table, cuts)[0].sum() == (table["true_energy"] > 1).sum()
    assert select(table, cuts, use_truth=False)[0].all()


@pytest.mark.parametrize("unit", ["GeV", "TeV", "erg"])
def test_energy_is_compared_in_tev(table, unit):
    expected = np.asarray(table["true_energy"]) > 0.8
    quantities = QTable(table)
    quantities["true_energy"] = quantities["true_energy"].to(unit)
    columns = Table(quantities)

    for converted in (quantities, columns):
        np.testing.assert_array_equal(chosen(converted, truth={"cut": "true_energy > 0.8"}), expected)


def test_masked_values_pass_no_cut(table):
    table["timing_slope"] = MaskedColumn(np.full(len(table), 5.0), mask=np.arange(len(table)) % 2 == 0)

    np.testing.assert_array_equal(chosen(table, quality={"fast": "timing_slope > 0"}), np.arange(len(table)) % 2 == 1)
    np.testing.assert_array_equal(chosen(table, quality={"slow": "timing_slope < 9"}), np.arange(len(table)) % 2 == 1)


def test_logarithm_of_nothing_is_silent(table):
    table["hillas_intensity"][3] = -1
    with np.errstate(all="raise"):
        assert not chosen(table, quality={"cut": "log10(hillas_intensity) > 0"})[3]


def test_unknown_column_names_the_near_ones(table):
    with pytest.raises(UserError, match=r"'cut' asks for 'hilas_intensity'.* did you mean hillas_intensity"):
        chosen(table, quality={"cut": "hilas_intensity > 50"})
    with pytest.raises(UserError, match="there are obs_id, event_id"):
        chosen(table, quality={"cut": "zzz > 50"})


def test_wrong_arguments_are_one_line(table):
    with pytest.raises(UserError, match="cannot be evaluated") as caught:
        chosen(table, quality={"cut": "np.hypot(hillas_intensity) > 50"})
    assert "\n" not in str(caught.value)


def test_empty_table_is_no_error_by_itself(table):
    mask, counts = select(table[:0], SelectionParameters(min_telescopes=2))

    assert mask.shape == (0,)
    with pytest.raises(UserError, match="no image to select from"):
        require_selected(counts)


def test_a_cut_that_leaves_nothing_is_named(table):
    cuts = {"bright": "hillas_intensity > 50", "absurd": "hillas_intensity > 1e9", "any": "morphology_n_pixels >= 0"}
    mask, counts = select(table, SelectionParameters(quality=cuts))

    assert not mask.any()
    with pytest.raises(UserError, match=rf"'absurd' \(hillas_intensity > 1e9\) removed the last {counts['n_out'][1]}"):
        require_selected(counts)


def test_counts_of_parts_add_up(table):
    cuts = SelectionParameters()
    parts = [select(table[rows], cuts) for rows in (slice(0, 50), slice(50, None))]
    mask, counts = select(table, cuts)

    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), mask)
    assert vstack(list(sum_counts(part for _, part in parts))).pformat() == vstack(list(counts)).pformat()
    with pytest.raises(ValueError, match="different selections"):
        sum_counts([counts, select(table, SelectionParameters(quality={}))[1]])
    require_selected(counts)
