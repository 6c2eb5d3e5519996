"""Other servers for uploads to compare hopla with, each beside the program that starts it."""
