"""E-mail: what is the same whichever app sends it, and to whom."""
