"""The largest face of a frame that shows both eyes, where the extra that finds faces is installed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from engage_cli.covers.faces import detect_faces
from engage_cli.errors import EngageError


class FaceFinder:
    """Finds no faces once it has found out that it cannot."""

    def __init__(self) -> None:
        self.problem = ""  # why not

    def find(self, image: Image.Image) -> float | None:
        """Return the share of an image that its largest face with both eyes towards the camera takes; 0 for none."""
        if self.problem:
            return None
        try:
            faces = detect_faces(np.asarray(image))
        except EngageError as error:
            self.problem = str(error)
            return None
        return max((face.area / (image.width * image.height) for face in faces if face.looks_at_camera), default=0.0)
