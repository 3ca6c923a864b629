"""Activation: one function of one number, applied to every element.  phi, phi', phi'': maths/activations.py.

y = phi(x)
(1) x_bar = phi'(x) y_bar     (2) y_dot = phi'(x) x_dot: the derivative is diagonal, so it is its own adjoint
(3) tangent of (1):  x_bar_dot = phi'(x) y_bar_dot + phi''(x) x_dot y_bar
"""

from __future__ import annotations

from typing import Any

from ebm_ref.errors import require_choice, require_number
from ebm_ref.kernels import activations
from ebm_ref.models import record as records
from ebm_ref.models.record import record

ALPHA = {"elu": 1.0, "leaky_relu": 0.2}  # the parameter where none is given


@record
class Activation:
    """y = phi(x), phi one of "silu", "softplus", "tanh", "elu", "leaky_relu".

    alpha: the value -phi(-inf) of ELU, by default 1; the slope of leaky ReLU below 0, by default 0.2.

    >>> import numpy as np
    >>> Activation("leaky_relu").forward(np.array([[-1.0, 2.0]]))[0]
    array([[-0.2,  2. ]])
    """

    function: str = "silu"
    alpha: Any = None

    def check(self) -> None:
        """The function is known; its parameter gets its default."""
        require_choice("function", self.function, tuple(activations.LOOPS))
        alpha = ALPHA.get(self.function, 0.0) if self.alpha is None else require_number("alpha", self.alpha)
        object.__setattr__(self, "alpha", alpha)

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Unchanged."""
        return shape

    def forward(self, x):
        """(y, cache)."""
        return activations.value(self.function, self.alpha, x), x

    def pullback(self, cache, y_bar):
        """(1) x_bar."""
        return activations.slope(self.function, self.alpha, cache, y_bar)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (1)."""
        return self.pullback(cache, y_bar), self

    def jvp(self, cache, x_dot):
        """(2) y_dot."""
        return activations.slope(self.function, self.alpha, cache, x_dot)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(3) (x_bar_dot, gradient_dot)."""
        return activations.curvature(self.function, self.alpha, cache, y_bar_dot, x_dot * y_bar), self
