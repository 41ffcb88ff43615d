"""Matrices of derivatives: refuted by products with random vectors from both sides, then named entry by entry."""
