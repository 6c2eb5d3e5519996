"""Guest links: people without an account take the photos of one ticket."""
