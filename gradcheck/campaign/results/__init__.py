"""What a campaign has found: the records, the file that keeps them, and what they have in common."""
