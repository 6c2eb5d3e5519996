"""What integrators connect: events, webhooks, a feed to catch up from, and API keys."""
