"""Training: the task, its losses and metrics, the optimizer and its schedule."""
