"""Where cases are judged: in processes of this machine, or on a cluster."""
