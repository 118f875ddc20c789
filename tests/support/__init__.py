"""What tests share: clusters made the product's own way, free ports, waiting for events."""
