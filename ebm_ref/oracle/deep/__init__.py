"""Deep energies: networks in plain loops, exact derivatives from the numbers themselves, and what can go wrong.

numbers      numbers that carry derivatives (forward, backward) and a bound of their rounding
equations    layers and forms of the energy;  network  layers as plain data
cases        small declared networks with E, dE/dx, dE/dtheta
formulas     ``check_energy`` and ``check_gradient`` on them
differences  the same for any callable, against differences of its own energy
training     losses, moves, buffers and averages on given numbers;  rules  ``check_rule`` on them
wrong, zoo   mistakes, as changed entries of the equations and changed arguments of the rules
"""
