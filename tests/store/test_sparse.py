import numpy as np
import pytest
from scipy.sparse import csr_array

from cherenkov_pipeline.store.sparse import SparseProduct, padded_rows


def table(n_cells: int, n_pixels: int, greatest: int, seed: int = 0) -> csr_array:
    """Rows of different lengths, among them long runs of empty ones."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((n_cells, n_pixels), dtype=np.float32)
    for cell in range(n_cells):
        if cell % 97 > 40:
            chosen = rng.choice(n_pixels, rng.integers(0, greatest + 1), replace=False)
            dense[cell, chosen] = rng.normal(size=len(chosen))
    return csr_array(dense)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 8])
@pytest.mark.parametrize("n_images", [1, 16, 37])
@pytest.mark.parametrize("greatest", [1, 3, 7])
def test_same_as_scipy(n_channels, n_images, greatest):
    weights = table(500, 91, greatest)
    pixels = np.random.default_rng(1).normal(size=(n_images, 91, n_channels)).astype(np.float32)
    copy = pixels.copy()
    expected = np.einsum("cp,npk->nck", weights.toarray(), pixels)
    images = SparseProduct(weights)(pixels)
    assert images.dtype == np.float32
    assert images.flags.owndata
    np.testing.assert_allclose(images, expected, atol=1e-5)
    np.testing.assert_array_equal(pixels, copy)


def test_no_images_and_an_empty_table():
    product = SparseProduct(csr_array((20, 5), dtype=np.float32))
    assert product(np.ones((0, 5, 2), dtype=np.float32)).shape == (0, 20, 2)
    np.testing.assert_array_equal(product(np.ones((3, 5, 2), dtype=np.float32)), 0)


def test_strided_pixels():
    weights = table(100, 30, 3)
    pixels = np.random.default_rng(1).normal(size=(30, 4, 6)).astype(np.float32).transpose(1, 0, 2)[..., ::3]
    np.testing.assert_array_equal(SparseProduct(weights)(pixels), SparseProduct(weights)(np.ascontiguousarray(pixels)))


def test_padded_rows_hold_the_table():
    weights = table(100, 30, 4)
    columns, values = padded_rows(weights, multiple=3)
    assert columns.shape == values.shape == (100, 6)
    dense = np.zeros((100, 30), dtype=np.float32)
    np.add.at(dense, (np.arange(100)[:, None], columns), values)
    np.testing.assert_array_equal(dense, weights.toarray())
