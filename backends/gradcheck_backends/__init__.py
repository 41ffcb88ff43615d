"""One network description, built four ways that share no forward or backward code."""
