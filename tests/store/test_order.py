import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cherenkov_pipeline.store.order import BLOCK, BLOCKS_PER_WINDOW, WindowReader, epoch_order

WINDOW = BLOCK * BLOCKS_PER_WINDOW


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).permutation(5 * WINDOW)[: 3 * WINDOW + 100]


def test_every_item_once_and_another_order_each_epoch(rows):
    orders = [epoch_order(rows, seed, epoch) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(len(rows)))
    assert not any(np.array_equal(orders[0], other) for other in orders[1:])
    np.testing.assert_array_equal(orders[0], epoch_order(rows, 1, 0))


def test_windows_are_read_in_blocks_from_everywhere(rows):
    """What a window needs lies in few pieces of the file, and these are spread over all of it."""
    ordered = rows[epoch_order(rows, 1, 0)]
    by_row = np.sort(rows)
    for start in range(0, 3 * WINDOW, WINDOW):
        window = np.searchsorted(by_row, np.sort(ordered[start : start + WINDOW]))
        pieces = np.flatnonzero(np.diff(window) != 1)
        assert len(pieces) <= BLOCKS_PER_WINDOW + 1  # a block may go on from the end to the beginning
        assert np.ptp(window) > 2 * WINDOW
        # and they are mixed: neighbours in the order come from anywhere in the window
        assert np.corrcoef(ordered[start : start + WINDOW - 1], ordered[start + 1 : start + WINDOW])[0, 1] < 0.05


def test_next_window_is_read_while_this_one_is_used():
    reading = {number: threading.Event() for number in range(3)}

    def read(window):
        reading[window[0]].set()
        return window

    reader = WindowReader(read, [np.array([number]) for number in range(3)])
    assert reader.get(0) == [0]
    assert reading[1].wait(10)
    assert not reading[2].is_set()
    reader.close()


def test_threads_may_be_behind_and_few_windows_are_kept():
    n_read = []

    def read(window):
        n_read.append(window[0])
        time.sleep(0.001)
        return window * 10

    reader = WindowReader(read, [np.array([number]) for number in range(20)])
    for number in range(20):
        for wanted in (number, max(number - 1, 0), number):
            assert reader.get(wanted) == [wanted * 10]
        assert len(reader._futures) <= 3
    assert sorted(set(n_read)) == list(range(20))
    assert len(n_read) == 20
    reader.close()


def test_errors_come_to_the_one_who_asks():
    def read(window):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        WindowReader(read, [np.arange(3)]).get(0)


def test_nobody_waits_for_a_window_that_another_thread_has_passed():
    disk = threading.Event()

    def read(window):
        assert disk.wait(30)
        return window

    reader = WindowReader(read, [np.array([number]) for number in range(20)])
    with ThreadPoolExecutor(2) as threads:
        behind = threads.submit(reader.get, 1)  # windows 1 and 2 wait for the disk
        while len(reader._futures) < 2:
            time.sleep(0.001)
        second = threads.submit(reader.get, 2)
        while len(reader._futures) < 3:
            time.sleep(0.001)
        ahead = threading.Thread(target=reader.get, args=(10,))
        ahead.start()
        while 10 not in reader._futures:
            time.sleep(0.001)
        disk.set()
        assert behind.result(30) == [1]
        assert second.result(30) == [2]
        ahead.join()
    reader.close()
