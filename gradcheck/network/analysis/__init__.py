"""What follows from the reference: bounds on rounding, and kinks."""
