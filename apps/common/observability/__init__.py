"""What is logged, counted, traced and reported."""
