"""A campaign as text and as a page; renders, computes nothing."""
