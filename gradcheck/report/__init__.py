"""A `Report` and its renderings: text and a page for people, JSON for machines. Renders, computes nothing."""

from gradcheck.report.report import Report, joined

__all__ = ["Report", "joined"]
