"""Correlation of images with kernels, its adjoint, and its derivative by the kernel.

x (N, C, H, W), w (O, C, kh, kw), y (N, O, Ho, Wo), xp = x with p zeros on each side, s the stride
(1) y[n,o,i,j] = sum_{c,u,v} w[o,c,u,v] xp[n,c,si+u,sj+v]            Ho = floor((H + 2p - kh)/s) + 1
(2) adjoint in x:  x[n,c,a,b] = sum over all (o,u,v,i,j) with si+u = a+p, sj+v = b+p of w[o,c,u,v] y[n,o,i,j]
(3) adjoint in w:  w[o,c,u,v] = sum_{n,i,j} y[n,o,i,j] xp[n,c,si+u,sj+v]
All three are one trilinear form t(x, w, y) = sum y (w * x), read by y, by x and by w.  Rows and columns that no window
covers, when s does not divide H + 2p - kh, stay zero in (2).

(4) columns[n, (c,u,v), (i,j)] = xp[n,c,si+u,sj+v], so that (1) is one matrix product an image; (2) and (3) likewise.
Images are worked on in blocks whose columns stay in the cache.  BLAS sees one image at a time in (1) and (2): an
image's numbers do not depend on the rest of the batch.
"""

from __future__ import annotations

import numpy as np

from ebm_ref.compile import over_chains

BLOCK_BYTES = 2**20  # columns of one block of images


def output_size(size: int, k: int, stride: int, padding: int) -> int:
    """Ho of (1)."""
    return (size + 2 * padding - k) // stride + 1


def gather_image(n, x, kh, kw, stride, padding, columns):
    """(4) of image n; x (N, C, H, W), columns (N, C kh kw, Ho, Wo)."""
    C, H, W = x.shape[1:]
    Ho, Wo = columns.shape[2:]
    for c in range(C):
        for u in range(kh):
            for v in range(kw):
                row = columns[n, (c * kh + u) * kw + v]
                for i in range(Ho):
                    a = stride * i + u - padding
                    for j in range(Wo):
                        b = stride * j + v - padding
                        inside = 0 <= a < H and 0 <= b < W
                        row[i, j] = x[n, c, a, b] if inside else x.dtype.type(0)


def scatter_image(n, columns, kh, kw, stride, padding, x):
    """The adjoint of ``gather_image``: adds the columns of image n to x[n]."""
    C, H, W = x.shape[1:]
    Ho, Wo = columns.shape[2:]
    for c in range(C):
        for u in range(kh):
            for v in range(kw):
                row = columns[n, (c * kh + u) * kw + v]
                for i in range(Ho):
                    a = stride * i + u - padding
                    if 0 <= a < H:
                        for j in range(Wo):
                            b = stride * j + v - padding
                            if 0 <= b < W:
                                x[n, c, a, b] += row[i, j]


run_gather = over_chains(gather_image)
run_scatter = over_chains(scatter_image)


def gather(x: np.ndarray, kh: int, kw: int, stride: int, padding: int) -> np.ndarray:
    """(4), (N, C kh kw, Ho, Wo)."""
    N, C, H, W = x.shape
    Ho, Wo = output_size(H, kh, stride, padding), output_size(W, kw, stride, padding)
    if x.dtype.kind == "c":
        return gather_plain(x, kh, kw, stride, padding)
    columns = np.empty((N, C * kh * kw, Ho, Wo), x.dtype)
    run_gather(N, np.ascontiguousarray(x), kh, kw, stride, padding, columns, work=columns.size)
    return columns


def gather_plain(x: np.ndarray, kh: int, kw: int, stride: int, padding: int) -> np.ndarray:
    """(4) in NumPy: windows of the padded images."""
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, sides), (kh, kw), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]  # (N, C, Ho, Wo, kh, kw)
    N, C, Ho, Wo = windows.shape[:4]
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(N, C * kh * kw, Ho, Wo)


def _blocks(n: int, bytes_of_one: int) -> list[slice]:
    step = max(1, BLOCK_BYTES // max(1, bytes_of_one))
    return [slice(start, start + step) for start in range(0, n, step)]


def correlate(x: np.ndarray, w: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """(1)."""
    (N, C, H, W), (O, _, kh, kw) = x.shape, w.shape
    Ho, Wo = output_size(H, kh, stride, padding), output_size(W, kw, stride, padding)
    y = np.empty((N, O, Ho, Wo), np.result_type(x, w))
    for block in _blocks(N, C * kh * kw * Ho * Wo * x.itemsize):
        columns = gather(x[block], kh, kw, stride, padding)
        y[block] = (w.reshape(O, -1) @ columns.reshape(len(columns), -1, Ho * Wo)).reshape(-1, O, Ho, Wo)
    return y


def correlate_adjoint(y: np.ndarray, w: np.ndarray, stride: int, padding: int, size: tuple[int, int]) -> np.ndarray:
    """(2), images of height and width ``size``."""
    (N, O, Ho, Wo), (_, C, kh, kw) = y.shape, w.shape
    x = np.zeros((N, C, *size), np.result_type(y, w))
    matrix = w.reshape(O, -1).T
    for block in _blocks(N, C * kh * kw * Ho * Wo * y.itemsize):
        columns = (matrix @ y[block].reshape(-1, O, Ho * Wo)).reshape(-1, C * kh * kw, Ho, Wo)
        run_scatter(len(columns), columns, kh, kw, stride, padding, x[block], work=columns.size)
    return x


def kernel_gradient(x: np.ndarray, y: np.ndarray, kh: int, kw: int, stride: int, padding: int) -> np.ndarray:
    """(3), (O, C, kh, kw)."""
    (N, C), (_, O, Ho, Wo) = x.shape[:2], y.shape
    w = np.zeros((O, C * kh * kw), np.result_type(x, y))
    for block in _blocks(N, C * kh * kw * Ho * Wo * x.itemsize):
        columns = gather(x[block], kh, kw, stride, padding)
        w += np.tensordot(
            y[block].reshape(-1, O, Ho * Wo), columns.reshape(len(columns), -1, Ho * Wo), ((0, 2), (0, 2))
        )
    return w.reshape(O, C, kh, kw)
