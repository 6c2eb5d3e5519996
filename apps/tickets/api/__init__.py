"""The JSON API of tickets and images: views, serializers, filters, polls and the schema."""
