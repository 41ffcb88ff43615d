"""JAX: functions, in reverse and forward mode, and what a `custom_vjp` owes beside its numbers."""
