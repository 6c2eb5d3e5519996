"""What operators look at: health, metrics, the dashboards and the admin site."""
