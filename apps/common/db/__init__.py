"""The database: compiled queries, indexes created without blocking writes, snapshots and the connection pool."""
