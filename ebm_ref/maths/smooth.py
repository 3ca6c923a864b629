"""Exponential, logarithm and normal quantile without branches or library calls: loops over them vectorise.

Each is a polynomial after an exact reduction of its argument; coefficients are those of the Chebyshev interpolant,
computed with 60 digits.  Bits of a float are read and set by ``view``.
(1) exp(-a) = 2^-k exp(r),  k = round(a / log 2),  |r| <= log(2) / 2;   a > 708 counts as 708
    exp(-a) - 1 = 2^-k (exp(r) - 1) + (2^-k - 1):  for k = 0 the polynomial without its 1, and never a cancellation
(2) log(1 + e) = 2 artanh(s),  s = e / (2 + e) <= 1/3,  0 <= e <= 1
(3) log p = k log 2 + 2 artanh(s),  p = 2^k m,  1/sqrt 2 <= m < sqrt 2,  s = (m - 1) / (m + 1)
(4) Phi^-1((1 + x) / 2) = x R(w),  w = -log(1 - x^2) <= 5, else S(sqrt w) with the sign of x      [after Giles 2010]
"""

import math

import numpy as np

from ebm_ref.compile import jit

LOG2E, LN2_HIGH, LN2_LOW = 1.0 / math.log(2.0), 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUND = 6755399441055744.0  # 1.5 2^52: adding it rounds to an integer, which then stands in the lowest bits
LARGEST = 708.0  # exp(-708) is still a normal number
ONE_BITS, FRACTION = np.int64(0x3FF0000000000000), np.int64(0x000FFFFFFFFFFFFF)
SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)
GAP_AT_EDGE, MIDDLE = math.exp(-5.0), 2.5  # (4): 1 - x^2 at w = 5, 0.34 % of all draws lie beyond; middle of [0, 5]

EXP = (1.0, 1.0, 0.5, 0.16666666666666702, 0.04166666666666669, 0.008333333333309528, 0.001388888888887189,
       0.000198412699092171, 2.4801587350110797e-05, 2.7557224958392624e-06, 2.7557251904174915e-07,
       2.5114869528657765e-08, 2.09215799649503e-09)  # fmt: skip
EXPM1 = EXP[1:]
SOFT = (2.0, 0.6666666666666669, 0.3999999999999287, 0.28571428572622926, 0.22222222119103674, 0.18181823422495252,
        0.1538444706045997, 0.13336876815743837, 0.11715274668110426, 0.10976616637947494, 0.06980390498332432,
        0.16488285931389568)  # fmt: skip
LOG = (2.0, 0.6666666666666666, 0.40000000000007496, 0.2857142856881913, 0.2222222267692954, 0.18181773738016305,
       0.1538716092613408, 0.13248763083460116, 0.13262103674021808)  # fmt: skip
CENTRE = (2.12331346701467, 0.34880202439905444, -0.005907619380163793, -0.0017715965129182088, 0.0003086524838202352,
          -7.065523527997019e-06, -4.831829754381931e-06, 6.770196976409107e-07, 1.8974204701303758e-08,
          -1.5360013240911848e-08, 1.2831368726961076e-09, 1.6915025410822527e-10, -4.399329856891935e-11,
          1.289008962418514e-12, 7.596844612567403e-13, -1.0763051257153743e-13, -4.493066208251816e-15,
          2.6787264386924898e-15, -1.4337418990416418e-16, -3.768263792500738e-17, 3.589562335389115e-18,
          2.326859306239138e-19)  # R on 0 <= w <= 5, about 2.5  # fmt: skip
NEAR = (4.172481740113382, 1.4200565030157635, 0.008093600480149094, -0.004158820506782182, 0.0014256969381549868,
        -0.00032939692177307955, 6.148567470152701e-07, 4.9534331133431734e-05, -2.820828373933844e-05,
        6.893519568932979e-06, 1.3554924291716817e-06, -1.919811337198217e-06, 7.11169606391389e-07,
        -8.984227269142943e-09, -1.1757718752491843e-07, 5.6999137384214125e-08, -7.4438076334448935e-09,
        -6.149621511889896e-09, 4.3829929495903716e-09, -8.316230782789785e-10, -4.457950193965905e-10,
        2.0934820297315298e-10)  # S on 2.234375 <= sqrt w <= 4, about their middle  # fmt: skip
FAR = (6.903452602676446, 1.42876748073139, -0.0002240683185155952, -0.0002909270385338974, 0.00010320468532608455,
       -2.6640720532145968e-05, 6.0708327743066844e-06, -1.2887114622700139e-06, 2.601376651870967e-07,
       -5.01690279706285e-08, 9.080406173019378e-09, -1.405402490735919e-09, 9.71190752275073e-11,
       6.171685642656563e-11, -4.59904278265204e-11, 2.24776183203268e-11, -8.421653168873219e-12,
       1.857510783343133e-12, -1.2378914387522783e-13)  # S on 4 <= sqrt w <= 6.0625, about 5.03125  # fmt: skip


def horner(c, t):
    """sum_k c_k t^k."""
    p = c[len(c) - 1]
    for k in range(len(c) - 2, -1, -1):
        p = p * t + c[k]
    return p


def horner_after(p, c, t):
    """p t^len(c) + sum_k c_k t^k: a polynomial goes on from its higher terms p, with the roundings of ``horner``."""
    for k in range(len(c) - 1, -1, -1):
        p = p * t + c[k]
    return p


horner = jit(horner)
horner_after = jit(horner_after)


def split_exponent(a):
    """r and 2^-k of (1), a >= 0."""
    a = np.float64(LARGEST if a > LARGEST else a)
    shifted = np.float64(ROUND - a * LOG2E)
    k = shifted - ROUND  # <= 0
    r = (-a - k * LN2_HIGH) - k * LN2_LOW
    return r, np.int64((shifted.view(np.int64) << 52) + ONE_BITS).view(np.float64)


split_exponent = jit(split_exponent)


def exp_minus(a):
    """(1), a >= 0; NaN stays NaN."""
    r, power = split_exponent(a)
    return horner(EXP, r) * power


def expm1_minus(a):
    """exp(-a) - 1 by (1), a >= 0; NaN stays NaN."""
    r, power = split_exponent(a)
    return power * (r * horner(EXPM1, r)) + (power - 1.0)


def log1p_unit(e):
    """(2)."""
    s = e / (2.0 + e)
    return s * horner(SOFT, s * s)


def split_number(p):
    """k and s of (3)."""
    bits = np.float64(p).view(np.int64)
    k = (bits - SQRT_HALF_BITS) >> 52
    m = np.int64(bits - (k << 52)).view(np.float64)
    return np.float64(k), (m - 1.0) / (m + 1.0)


def joined_log(k, s, series):
    """(3) from k, s and 2 artanh(s) / s."""
    return k * LN2_HIGH + (s * series + k * LN2_LOW)


split_number = jit(split_number)
joined_log = jit(joined_log)


def log_normal_number(p):
    """(3), p a positive normal number."""
    k, s = split_number(p)
    return joined_log(k, s, horner(LOG, s * s))


exp_minus = jit(exp_minus)
expm1_minus = jit(expm1_minus)
log1p_unit = jit(log1p_unit)
log_normal_number = jit(log_normal_number)


def gap(x):
    """1 - x^2, with a small relative error near x = 1 too."""
    return (1.0 - x) * (1.0 + x)


gap = jit(gap)


def normal_tail(x):
    """(4) for 1 - x^2 < GAP_AT_EDGE."""
    s = math.sqrt(-log_normal_number(gap(x)))
    z = horner(NEAR, s - 3.1171875) if s < 4.0 else horner(FAR, s - 5.03125)
    return z if x > 0.0 else -z


def normal_centre(x):
    """(4) for 1 - x^2 >= GAP_AT_EDGE."""
    return x * horner(CENTRE, -log_normal_number(gap(x)) - MIDDLE)


normal_tail = jit(normal_tail)
normal_centre = jit(normal_centre)


def normal_quantile(x):
    """Phi^-1((1 + x) / 2), -1 < x < 1: relative error below 1e-15."""
    if gap(x) < GAP_AT_EDGE:
        return normal_tail(x)
    return normal_centre(x)


normal_quantile = jit(normal_quantile)
