"""Background jobs: the queue, the worker that runs them concurrently, and periodic work."""
