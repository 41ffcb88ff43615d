"""Procedure 2, the known network: builds of a case, held against the derivatives of its reference."""
