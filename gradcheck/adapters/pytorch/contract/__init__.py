"""What a backward function of PyTorch owes beside its numbers, one question a file, each held against the first answer."""
