"""The public functions of this room, a framework a file; each imports its framework when it is called."""
