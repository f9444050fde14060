"""A finished RUN in TensorBoard."""
