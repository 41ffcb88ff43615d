"""Where and how cases are judged: in this process, in child processes, on a cluster."""
