"""The frozen part of a model, run once per picture, and the store that keeps what it gave.

No Keras here but in `convert`, which is where a Keras model becomes one of the runtime's.
"""
