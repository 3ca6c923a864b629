"""Short words for the ids of tests, and for what a report says beside them: one source for terminal and page."""

TITLES = {
    "contract": "shape, dtype, support, seeds",
    "S1": "transitions x to x'",
    "S1 single": "one row a call",
    "S2": "every start",
    "S3": "law after steps",
    "S4": "symmetry of the flow",
    "S5": "rank in a two-sided chain",
    "S6": "each unit given each start",
    "S7": "likelihood of known mistakes",
    "S8": "likelihood of any other law",
    "S9": "visits along chains",
    "S10": "steps along chains",
    "S11": "law, draws kept far apart",
    "S12": "means and correlations",
    "S13": "independence",
    "S14": "accept flags",
    "C3": "law of one step",
    "C3 single": "one row a call",
    "C4": "law after steps",
    "C5": "symmetry of the flow",
    "D1": "numbers",
    "D3": "gradient",
    "D5": "draws from given uniforms",
    "D6": "row by row, in other orders",
    "D7": "the same again",
    "D8": "streams share nothing",
    "D9": "nothing impossible",
    "H1": "equal energies",
    "H2": "two temperatures",
    "H3": "Boltzmann at some temperature",
    "H4": "mirror images",
    "H4 gauge": "gauge transformation",
    "H5": "total variation",
    "L1": "mean update",
    "L2": "single updates",
    "L3": "spread of updates",
    "L5": "arithmetic",
    "R0": "never 1",
    "R1": "uniform and independent",
    "Z1": "mean weight",
    "Z2": "log-mean-exp",
}  # of the tests that have no words of their own in their id

WOULD_HAVE_SEEN = "would have seen: the smallest effect that the test finds with probability .999"
SKIPPED = "skip: S7 or S8 on the same transitions were sure before this test was; its effect is the estimate so far"


def title(test: str) -> str:
    """The words of a test, "" if its id has its own.

    >>> title("S3"), title("C1 drift")
    ('law after steps', '')
    """
    return TITLES.get(test, "")
