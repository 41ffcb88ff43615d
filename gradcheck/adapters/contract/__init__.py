"""What a backward function owes beside its numbers, asked of one whose numbers were judged: no differences see it."""
