"""Object storage: pictures are read from it, and features are kept in it."""
