"""The same job in the way that tutorials teach, to measure hopla against: no more than the job asks for."""
