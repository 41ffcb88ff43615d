"""From a wrong block to a named cause."""
