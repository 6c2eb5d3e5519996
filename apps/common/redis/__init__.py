"""Redis: clients, their connection pool, Sentinels, and the protocol for large values."""
