"""The occasions of events: receivers of the signals of tickets and images, in the transactions that send them."""
