"""What happens to every request, for any view: its id, its body, its timing and its headers."""
