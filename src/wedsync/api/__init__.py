"""What programs talk to: the data API, sign-in, the operations API, and the way in to them."""
