"""The tour: data, a network, its gradient by hand and in five other ways, descent, pictures; each step with its figure."""
