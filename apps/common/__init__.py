"""What more than one app needs; it imports no app."""
