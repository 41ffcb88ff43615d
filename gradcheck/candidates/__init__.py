"""A claimed gradient before any arithmetic: called on copies, twice, and what comes back examined."""
