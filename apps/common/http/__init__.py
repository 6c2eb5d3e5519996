"""What happens to every request whichever view it is for: its id, its body, its timing and its headers."""
