"""Kinds of tickets: what a ticket copies of its kind, and the pictures that show what a photo should look like."""
