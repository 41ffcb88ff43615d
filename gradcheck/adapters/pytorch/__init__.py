"""PyTorch: functions, `autograd.Function`s and modules as losses and gradients of arrays, left as they were found."""
