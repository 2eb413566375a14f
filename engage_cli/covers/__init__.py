"""What a cover shows: its lettering and its faces, read by models that come in wheels from PyPI."""
