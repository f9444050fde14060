"""What a model is worth, in numbers. Nothing is drawn here."""
