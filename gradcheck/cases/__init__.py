"""A network made concrete: `Case`, its files, and data sets."""
