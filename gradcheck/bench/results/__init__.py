"""What was measured, as data: medians, files, how things grow, what changed."""
