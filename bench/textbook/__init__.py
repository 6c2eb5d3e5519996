"""The same job the way tutorials teach it, to compare hopla with: no more than the job needs."""
