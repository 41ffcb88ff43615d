"""What is timed: cases, builds, the floor below them, and the machine."""
