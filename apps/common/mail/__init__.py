"""What the apps that send e-mail have in common."""
