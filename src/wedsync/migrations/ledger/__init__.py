"""What was applied: the rows of the ledger, chained, and how files and ledger compare."""
