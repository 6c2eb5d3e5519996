"""What the JSON APIs of all apps have in common: errors, lists, fields, rate limits and the schema."""
