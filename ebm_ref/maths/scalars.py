"""Stable scalar functions, exact at +-inf and silent at +-800.

(1) softplus(z) = log(1 + exp z)          = max(z, 0) + log1p(exp(-|z|))
(2) sigmoid(z)  = 1 / (1 + exp(-z))       = exp(-softplus(-z)),  two branches so that no exp overflows
(3) log2cosh(z) = log(2 cosh z)           = |z| + log1p(exp(-2|z|))
(4) logaddexp(p, q) = log(e^p + e^q)      = max + log1p(exp(-|p - q|))
(5) log1mexp(d) = log(1 - e^d),  d < 0    [Maechler 2012: two branches at -log 2]
(6) logdiffexp(p, q) = log(e^p - e^q)     = p + log1mexp(q - p),  p >= q
"""

import math

from ebm_ref.compile import jit

LOG2 = math.log(2.0)


def softplus(z):
    """(1), in nats."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def sigmoid_from(z, e):
    """(2) with e = exp(-|z|) at hand."""
    return (1.0 if z >= 0.0 else e) / (1.0 + e)


sigmoid_from = jit(sigmoid_from)


def sigmoid(z):
    """(2), a probability."""
    return sigmoid_from(z, math.exp(-abs(z)))


def log_sigmoid(z):
    """log sigmoid(z) = -softplus(-z)."""
    return min(z, 0.0) - math.log1p(math.exp(-abs(z)))


def log2cosh(z):
    """(3)."""
    return abs(z) + math.log1p(math.exp(-2.0 * abs(z)))


def logaddexp(p, q):
    """(4); two equal infinities give that infinity."""
    if p == q:
        return p + LOG2
    return max(p, q) + math.log1p(math.exp(-abs(p - q)))


def log1mexp(d):
    """(5) for d <= 0; d = 0 gives -inf."""
    if d == 0.0:
        return -math.inf
    return math.log(-math.expm1(d)) if d > -LOG2 else math.log1p(-math.exp(d))


def logdiffexp(p, q):
    """(6); -inf when p == q, NaN when p < q."""
    if p == q:
        return -math.inf
    if p < q:
        return math.nan
    return p + log1mexp(q - p)


softplus = jit(softplus)
sigmoid = jit(sigmoid)
log_sigmoid = jit(log_sigmoid)
log2cosh = jit(log2cosh)
logaddexp = jit(logaddexp)
log1mexp = jit(log1mexp)
logdiffexp = jit(logdiffexp)
