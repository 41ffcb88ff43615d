"""Framework objects as they are: each adapter turns one framework's functions into (loss, gradient, point)."""
