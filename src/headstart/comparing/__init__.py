"""Which backbone for these pictures: all on few of them, and only those that can still win on all."""
