"""Procedure 1, the black box: probes of a claimed gradient of any function, from directions to a verdict for each block."""
