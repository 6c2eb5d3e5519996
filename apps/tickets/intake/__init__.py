"""Intake of a photo: the body as it arrives, its checks, the place it takes and the response kept for a repeat."""
