"""The contract of a backward function, in whichever framework: a first answer, breaches, their place in a report."""
