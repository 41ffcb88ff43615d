"""What a network is: its description (layers, losses), what it means (reference), and what follows from that (analysis)."""
