"""Continuous variables: cases with exact laws, tests of Langevin, HMC and Gibbs kernels, a zoo of wrong ones."""
