"""From a query and the catalogue to one SQL statement."""
