"""The database: compiled queries, indexes made while tables are in use, snapshots and the connection pool."""
