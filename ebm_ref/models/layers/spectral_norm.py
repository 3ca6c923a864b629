"""Spectral normalisation: a linear or convolution layer whose matrix is divided by an estimate of its largest
singular value.                                                                               [Miyato et al. 2018]

M = W as a matrix (first axis, all others);  unit vectors u, v held constant;  sigma = u'Mv;  W_SN = W/sigma
(1) power iteration:  v <- M'u/|M'u|,  u <- Mv/|Mv|
(2) with G = dL/dW_SN:   dL = <G, dW>/sigma - <G, W> dsigma/sigma^2,  dsigma = u'dM v,  so
    W_bar = (G - <G, W_SN> u v')/sigma                  exact for constant u, v; and <W_bar, W> = 0
(3) x, y and b see W_SN in place of W;  (2) is linear in G, so its tangent is (2) with G_dot
``updated`` does (1), once a training step; while a chain runs, u and v are frozen and E is one function.  |W_SN|_2 = 1
once (1) has converged.  For a convolution this norm of the reshaped kernel is not the operator's, which is at most k
times as large (stride 1).
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_int, require_shape
from ebm_ref.kernels.noise import Stream
from ebm_ref.models import record as records
from ebm_ref.models.record import Constant, record

STARTING_ITERATIONS = 30


@record(single=True)
class SpectralNorm:
    """(2) around a layer with a weight ``W``.  Make it with ``SpectralNorm.of(layer)``."""

    layer: Any
    u: Constant
    v: Constant

    def check(self) -> None:
        """Shapes, once, at the door."""
        rows, columns = _matrix(self.layer.W).shape
        require_shape("u", self.u, rows)
        require_shape("v", self.v, columns)

    @classmethod
    def of(cls, layer, seed: int = 0, n_iterations: int = STARTING_ITERATIONS) -> SpectralNorm:
        """u from random numbers, then ``n_iterations`` of (1)."""
        rows, columns = _matrix(layer.W).shape
        dtype = layer.W.dtype
        u = Stream(seed, "spectral_norm").normal(0, (1, rows))[0].astype(dtype)
        made = cls(layer, u / np.linalg.norm(u), np.zeros(columns, dtype))
        for _ in range(require_int("n_iterations", n_iterations, 1)):
            made = made.updated()
        return made

    __repr__ = records.describe

    def updated(self) -> SpectralNorm:
        """(1) once: what a training step does after each change of W."""
        M = _matrix(self.layer.W)
        v = _unit(M.T @ self.u)
        return SpectralNorm(self.layer, _unit(M @ v), v)

    @cached_property
    def normalised(self) -> tuple[Any, float]:
        """(the layer with W_SN, sigma)."""
        sigma = float(self.u @ _matrix(self.layer.W) @ self.v)
        if not sigma > 0:
            raise DomainError(f"sigma: expected a positive estimate u'Wv, got {sigma}; call updated()")
        return dataclasses.replace(self.layer, W=self.layer.W / self.layer.W.dtype.type(sigma)), sigma

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """That of the layer."""
        return self.layer.output_shape(shape)

    def forward(self, x):
        """(y, cache)."""
        return self.normalised[0].forward(x)

    def pullback(self, cache, y_bar):
        """(3) x_bar."""
        return self.normalised[0].pullback(cache, y_bar)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (2)."""
        x_bar, gradient = self.normalised[0].vjp(cache, y_bar)
        return x_bar, self._gradient(gradient)

    def jvp(self, cache, x_dot):
        """(3) y_dot."""
        return self.normalised[0].jvp(cache, x_dot)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(3) (x_bar_dot, gradient_dot)."""
        x_bar_dot, gradient = self.normalised[0].rvjp(cache, x_dot, y_bar, y_bar_dot)
        return x_bar_dot, self._gradient(gradient)

    def _gradient(self, gradient) -> SpectralNorm:
        """(2)."""
        layer, sigma = self.normalised
        G = gradient.W
        direction = np.outer(self.u, self.v).reshape(G.shape)
        W_bar = (G - (G * layer.W).sum() * direction) / G.dtype.type(sigma)
        return SpectralNorm(dataclasses.replace(gradient, W=W_bar), self.u, self.v)


def update_spectral_norms(network):
    """The network after one power iteration in each of its spectrally normalised layers: once a training step."""
    return records.partwise(lambda part: part.updated() if isinstance(part, SpectralNorm) else part, network)


def _matrix(W: np.ndarray) -> np.ndarray:
    return W.reshape(len(W), -1)


def _unit(vector: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(vector)
    if not norm > 0:
        raise DomainError("W: expected a matrix that is not zero; a zero matrix cannot be normalised")
    return vector / norm
