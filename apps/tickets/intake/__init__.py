"""A photo's way in: the body as it arrives, its checks, the place it takes and the answer that is kept for a repeat."""
