"""Boosting objectives, a gradient and a second derivative for each row: what is meant, what is returned, and why it is off."""
