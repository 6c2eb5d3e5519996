"""API keys: what each may do, and how a request is authenticated by one."""
