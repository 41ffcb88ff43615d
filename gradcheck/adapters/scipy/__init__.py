"""What SciPy's solvers are given, with the meanings that they give it: each derivative among it becomes a question."""
