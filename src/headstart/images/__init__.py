"""Pictures and labels: finding them, decoding them, splitting them. No Keras here."""
