"""Figures for people: tables, pictures, comparisons, exponents."""
