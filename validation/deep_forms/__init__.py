"""The energy forms inner, residual and square of one U-Net, and a scalar, on equal terms.  See runs.py."""
