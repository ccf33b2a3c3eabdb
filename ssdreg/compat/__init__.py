"""MXNet 1.9.1 on the Python and the NumPy of today."""
