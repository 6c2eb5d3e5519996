"""Users, their tokens, log-in and registration, and the proof that an e-mail address is theirs."""
