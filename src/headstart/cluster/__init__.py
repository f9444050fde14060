"""Many machines: the work that needs no other picture's result, done by Ray."""
