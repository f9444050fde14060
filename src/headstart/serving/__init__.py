"""RUNs behind HTTP: see docs/serving.md, and docs/design/serving.md for why it is as it is."""
