"""A report as one Python file that asks again."""
