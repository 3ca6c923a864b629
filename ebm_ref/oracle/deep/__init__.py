"""Deep energies: networks in plain loops, the laws of their energies, and what can go wrong with them."""
