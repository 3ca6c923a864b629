"""The mistakes that the vectors hunt: flag -> (bug type, numbers in the zoo, description)."""

from __future__ import annotations

from typing import Any

NOTES: dict[str, tuple[str, list[int], str]] = {
    "TransposedW": ("LAYOUT", [1], "W read as [n_hidden, n_visible] or column-major; a rectangular W shows it"),
    "StateOrder": ("LAYOUT", [], "state index with the first unit as the most significant bit, or hidden units first"),
    "EnergySign": ("SIGN", [43, 91], "+E for -E, or the sign of one bias"),
    "VisibleBias": ("FORMULA", [2], "visible bias omitted, doubled, or with the wrong sign"),
    "HiddenBias": ("FORMULA", [4], "hidden bias omitted, or added twice"),
    "SpinConvention": ("CONVENTION", [5, 44], "{0,1} read as -1/+1, or sigmoid(2z)"),
    "BetaNotOne": (
        "TEMPERATURE",
        [6, 7, 8],
        "beta is inside the parameters; applying it once more, or to W only, is wrong",
    ),
    "CouplingTwice": ("FORMULA", [41], "each edge of J counted twice, or only half"),
    "MissingLog2": ("NORMALISATION", [102], "n_hidden log 2 missing in the base log Z or in a free energy"),
    "SoftplusOverflow": ("PRECISION", [114], "log(1 + exp(z)) overflows above 88.7 (float32) or 709.8 (float64)"),
    "SigmoidSaturation": (
        "PRECISION",
        [113],
        "1/(1+exp(-z)) overflows, or rounds to 0 or 1 where the tail is representable",
    ),
    "LogSumExpOverflow": ("PRECISION", [], "exp before the maximum is taken out"),
    "SumForMean": ("REDUCTION", [93], "a sum over the rows where the mean is meant"),
    "GradientSign": ("SIGN", [91], "descent direction, or the gradient of E"),
    "ScanOrder": ("KERNEL", [39], "sites visited in another order; visible units first"),
    "StaleHalf": ("KERNEL", [10], "x' drawn from the old h"),
    "SiteChoice": ("KERNEL", [36, 38], "random scan that is not uniform, or a whole sweep a step"),
    "GlauberForMetropolis": ("KERNEL", [34], "Gibbs probability where min(1, exp(-dE)) is declared"),
    "RejectionsDropped": ("KERNEL", [33], "rejected proposals are not recorded"),
    "DeltaEnergy": ("KERNEL", [29, 30], "sign or factor 2 of the energy change"),
    "AbsoluteGap": ("SPECTRUM", [], "1 - lambda_2 without looking at the most negative eigenvalue"),
    "StrictInequality": ("SAMPLING", [104, 105], "u <= p for u < p; seen at u = p"),
    "UniformOrder": ("SAMPLING", [13], "uniforms consumed in another order, or one uniform shared by a layer"),
    "CdSteps": ("LEARNING", [89, 90], "k off by one"),
    "StaleHidden": ("LEARNING", [83], "p(h|x_(k-1)) in the negative phase"),
    "MeanFieldNegative": ("LEARNING", [85, 87], "probabilities for x in the negative phase"),
    "SampledHidden": ("LEARNING", [88], "hidden units sampled in the statistics: same mean, larger covariance"),
    "BatchDivisor": ("LEARNING", [93], "covariance of a sum, or divided by the batch size once only"),
    "WeightsOnJoint": ("AIS", [], "weights on the joint state: same mean, larger variance"),
    "AisOrder": ("AIS", [98, 99], "transition at beta_(k-1), beta_(k+1) or 1"),
    "MeanOfLogWeights": ("AIS", [101], "mean of the log weights for the log of the mean weight"),
    "PhiloxConstants": ("RNG", [], "multipliers, Weyl keys or number of rounds"),
    "PhiloxWords": ("RNG", [], "order of the counter or key words"),
    "SigmaForVariance": ("CONVENTION", [76, 79], "sigma where sigma^2 is meant, or log_var read as log sigma"),
    "VarianceIgnored": ("FORMULA", [77], "sigma = 1 in the coupling or in p(h|v)"),
    "SpreadOfVisible": ("FORMULA", [79, 82], "v drawn with standard deviation sigma^2 or 1, or slightly too wide"),
    "VisibleMean": ("FORMULA", [81], "mu omitted from the mean of v"),
    "ScaledCoupling": ("CONVENTION", [], "(v/sigma)'Wh for (v/sigma^2)'Wh, the form of Hinton and Krizhevsky"),
    "CentredCoupling": ("CONVENTION", [], "((v-mu)/sigma^2)'Wh for (v/sigma^2)'Wh"),
    "HalfMissing": (
        "FORMULA",
        [],
        "the factor 1/2 of (v-mu)^2 or of (Wh)^2, or mu Wh forgotten when completing the square",
    ),
    "GaussianConstant": ("NORMALISATION", [], "n_visible/2 log 2 pi or the sum of log sigma missing in log Z"),
    "MissingSoftplus": ("FORMULA", [], "the hidden units left out of F(v), or its sign there"),
    "MissingBiasOfMean": ("FORMULA", [81], "mu subtracted from v, or added, in the logits of h"),
    "EnergyOverBatch": ("REDUCTION", [], "energies or scores divided by the number of rows: another temperature"),
    "LogVarianceGradient": (
        "GRADIENT",
        [],
        "derivative by sigma or sigma^2 for that by log_var, or its coupling term v (Wh)/sigma^2 left out",
    ),
    "MarginalForConditional": ("FORMULA", [74], "score of p(v) where h is held, or the other way round"),
    "KnownUnitsIgnored": ("FORMULA", [], "p(v_U) for p(v_U|v_K): the known units don't move the weights"),
    "TargetFormula": ("FORMULA", [], "the target itself is another one; mend it before looking at the sampler"),
    "NoiseRoot": ("NOISE", [51, 57], "noise sqrt(lam) for sqrt(2 lam), or slightly off"),
    "NoiseIsStep": ("NOISE", [52], "lam itself as the standard deviation of the noise"),
    "StepConvention": ("CONVENTION", [51, 53], "x - eps/2 g + sqrt(eps) z with eps = lam: half the step"),
    "HalfDrift": ("DRIFT", [53, 58], "half of the gradient, or slightly off"),
    "GradientClimb": ("SIGN", [55], "sign of the gradient"),
    "TemperatureOfStep": (
        "TEMPERATURE",
        [56],
        "noise and drift that belong to different temperatures; T in one place only",
    ),
    "OneNoiseForAll": ("NOISE", [59], "one normal for all coordinates"),
    "SameNoiseEachStep": ("NOISE", [60], "the same normals in each step"),
    "OneStepForAll": ("PRECONDITIONER", [], "one step size where each coordinate has its own"),
    "PreconditionerRoot": ("PRECONDITIONER", [62], "lam for sqrt(lam) in the noise of a coordinate"),
    "ReverseProposal": ("RATIO", [63, 68], "the densities of the proposal left out of the ratio"),
    "ProposalInverted": ("RATIO", [64], "log q forward minus log q back"),
    "ProposalDenominator": ("RATIO", [66, 69], "4 lam T in log q replaced by 2 lam T, or by that of another noise"),
    "RatioSign": ("RATIO", [70], "sign of the log ratio, or the ratio doubled"),
    "AlwaysAccepts": ("DECISION", [68], "every proposal is accepted"),
    "RejectedMoves": ("DECISION", [72], "a refused proposal is kept, or too many are refused"),
    "ThresholdSign": ("DECISION", [71], "-log u for log u"),
    "TargetForUla": ("LAW", [], "the target's covariance for that of unadjusted Langevin, which is wider"),
    "UnstableStep": ("INPUT", [], "a step for which there is no such law, or none at all"),
    "InnerSteps": ("KERNEL", [74], "wrong number of inner steps, or one of them left out of the ratio"),
    "LeapfrogHalfStep": ("INTEGRATOR", [], "whole first or last momentum steps"),
    "LeapfrogCount": ("INTEGRATOR", [], "one leapfrog step too many or too few"),
    "KineticEnergy": ("RATIO", [], "|p|^2/2 left out, or old and new momenta exchanged"),
    "NonFinite": ("INPUT", [], "NaN or infinity in the parameters"),
    "WrongShape": ("INPUT", [], "lengths that do not match; silent broadcasting"),
    "NotBinary": ("INPUT", [], "a state outside {0, 1}"),
    "Asymmetric": ("INPUT", [], "J not symmetric, or with a diagonal"),
}


def notes_for(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """The notes that the tests of these groups refer to, in the order above."""
    used = {flag for group in groups for test in group["tests"] for flag in test["flags"]}
    unknown = used - set(NOTES)
    if unknown:
        raise KeyError(f"flags without a note: {', '.join(sorted(unknown))}")
    return {
        flag: {"bugType": kind, "zoo": zoo, "description": text}
        for flag, (kind, zoo, text) in NOTES.items()
        if flag in used
    }
