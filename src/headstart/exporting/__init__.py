"""A RUN as others can use it: written in their formats, loaded again by their runtimes, compared."""
