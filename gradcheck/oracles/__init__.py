"""Derivatives obtained without backpropagation, each with a bound on its error: (function, point, direction) -> Estimate."""
