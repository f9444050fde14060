"""The trainable half: heads solved as convex problems, the rest fitted by Keras, and which of them when."""
