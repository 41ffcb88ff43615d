"""What each step of the tour does: a function from `Tour` to `Result`."""
