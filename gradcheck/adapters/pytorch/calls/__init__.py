"""One call of a PyTorch function: of which tensors, what it returned, and which gradients a call of the user's left behind."""
