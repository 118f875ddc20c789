"""Sign-in: accounts, sessions and tokens, as the client libraries ask for them."""
