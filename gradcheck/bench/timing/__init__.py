"""How it is timed: one child process a build, in turns, and the figures that come of it."""
