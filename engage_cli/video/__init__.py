"""Which frames of a video could be its cover: sharp, well lit, each of another scene, with open faces where there are any."""
