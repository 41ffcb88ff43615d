"""One case in, one record out, whatever a backend does to its process."""
