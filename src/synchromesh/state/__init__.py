"""The state of plants between batches. `agreement` is what every store keeps; the fold owns what the bytes mean."""
