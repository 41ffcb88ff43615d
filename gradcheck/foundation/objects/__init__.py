"""What people hand in: containers, by whichever registry knows their class, and what functions bring along."""
