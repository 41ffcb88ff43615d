"""From a failing case to the smallest that still fails."""
