"""What a gradient must do at least: its products and activations, counted and done bare."""
