"""What is done to photos and tickets besides requests and jobs: the reconciler, the audit and the actions of staff."""
