"""Deep energies in the plane: what each way of learning reaches, by quadrature.  See runs.py for the experiment."""
