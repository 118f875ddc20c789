"""What lies on disk: migration files read, parsed, ordered, and refused before anything runs."""
