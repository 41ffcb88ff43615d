"""Procedure 3, against a reference: a candidate judged at its own precision, by what that does to the reference."""
