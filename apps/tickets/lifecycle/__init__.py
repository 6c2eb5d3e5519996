"""How tickets and images move from one status to the next, and what each move causes."""
