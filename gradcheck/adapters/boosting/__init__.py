"""Boosting objectives: each row's gradient and second derivative against the loss that is meant, and why they are off."""
