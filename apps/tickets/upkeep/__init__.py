"""What changes photos and tickets besides requests and jobs: the reconciler, the audit and staff actions."""
