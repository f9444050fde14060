"""What a classifier looks at: heat maps over pictures, what its filters respond to."""
