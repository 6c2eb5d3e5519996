"""Tells the workers that something is to be delivered, so that it need not wait until they look by themselves."""


def wake_senders() -> None:
    """Safe to leave out: a worker that was told nothing looks for what is due every second."""
