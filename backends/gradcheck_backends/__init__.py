"""One network description, built three ways that share no forward or backward code."""
