"""Images: opened safely, checked, resized, hashed, unpacked."""
