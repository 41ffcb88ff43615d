"""A claimed gradient before any arithmetic: it is called on copies, twice, and what comes back is examined."""
