"""Uploads that go on where they were cut off: their state beside the bytes, who sends them, and their end."""
