"""One file = one equation sheet = one record.  Formulas only: no sampling, no training, no state."""
