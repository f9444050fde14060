"""A RUN as a page: whether to trust it, why it errs, what to try next. From the RUN's own files, without Keras."""
