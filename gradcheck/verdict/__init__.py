"""Findings: claimed against reference in units of a bound. Data and decisions; renders nothing, knows no network."""
