"""A NumPy function under noise: arrays whose every operation is off, and whose choices are replayed."""
