"""Learning: estimators of the log-likelihood gradient, optimisers on records, and ``fit``."""
