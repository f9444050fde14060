"""Features of pictures, for whoever goes on with other tools."""
