"""Memory that is used again: never while an array on it lives, and not without limit."""

import threading

import numpy as np

from ebm_ref.kernels import room

SHAPE = (3, 40_000)  # float64, above room.SMALL


def test_memory_is_used_again_once_no_array_is_on_it():
    first = room.empty(SHAPE, "float64")
    place, part = first.ctypes.data, first[1:, ::2]
    assert place % room.LINE == 0
    part[:] = 7.0
    del first
    other = room.empty(SHAPE, "float64")
    assert other.ctypes.data != place  # a view still holds it
    other[:] = 1.0
    assert (part == 7.0).all()
    del part
    assert room.empty((SHAPE[1], SHAPE[0]), "float64").ctypes.data == place


def test_idle_memory_is_limited():
    many = [room.empty((room.MOST_KEPT // 8,), "uint8") for _ in range(12)]
    del many
    assert sum(block.nbytes for blocks in room._idle.values() for block in blocks) <= room.MOST_KEPT


def test_threads_never_share_an_array():
    def work(mark):
        for _ in range(200):
            array = room.empty((10_000,), "float64")
            array[:] = mark
            wrong.append(bool((array != mark).any()))

    wrong: list[bool] = []
    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 800
    assert not np.any(wrong)
