"""Which frames of a video could be its cover: sharp, well lit, each of another scene, with a face that looks at you."""
