"""What a backward function owes beside its numbers, which no differences see: asked of a function that was judged by them."""
