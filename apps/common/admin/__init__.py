"""What the admin's lists have in common."""
