"""Training a case with any backend, watched by the verifier; a user's own data; where to start from."""
