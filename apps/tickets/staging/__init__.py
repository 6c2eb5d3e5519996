"""The bytes of photos in Redis: those on their way, and for a while those of photos that failed."""
