"""Background jobs: the queue, the worker that runs them side by side, and periodic work."""
