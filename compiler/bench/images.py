"""Images as a network wants them: resized, cropped and normalised as torchvision's classification presets do it.

`Resize` (the shorter side, bilinear with antialiasing), `CenterCrop`, `ToTensor` and `Normalize`, on Pillow images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compiler.errors import EdgetuneError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_IMAGENET_RESIZE = 256 / 224
_MOST_PIXELS = 1 << 28


@dataclass(frozen=True)
class Preprocessing:
    """`resize` is the shorter side in pixels, `crop` height and width; `mean` and `std` are for values from 0 to 1."""

    resize: int
    crop: tuple[int, int]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        """Raises UsageError for sizes and deviations that are not above zero."""
        if self.resize < 1 or min(self.crop) < 1:
            raise UsageError("images are resized and cropped to one pixel at least")
        if len(self.mean) != len(self.std) or not all(value > 0 for value in self.std):
            raise UsageError("the deviations of images must be above zero, and as many as the means")

    def load(self, path: Path) -> np.ndarray:
        """The image in `path` as float32 (channels, height, width). Raises EdgetuneError where it is none."""
        try:
            import PIL.Image
        except ImportError:
            raise EdgetuneError("images are read by Pillow: pip install 'edgetune[images]'") from None
        try:
            with PIL.Image.open(path) as opened:
                if opened.width * opened.height > _MOST_PIXELS:
                    raise EdgetuneError(f"{path}: {opened.width} x {opened.height} pixels are too many")
                return self(opened.convert("RGB" if len(self.mean) == 3 else "L"))
        except EdgetuneError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a broken image makes Pillow throw
            raise EdgetuneError(f"{path} cannot be read as an image: {' '.join(str(error).split())[:200]}") from None

    def __call__(self, image: Image) -> np.ndarray:
        """`image`, of mode RGB or L, as float32 (channels, height, width)."""
        pixels = np.asarray(_cropped(_resized(image, self.resize), self.crop), dtype=np.float32) / 255
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        mean, std = (np.asarray(values, dtype=np.float32)[:, None, None] for values in (self.mean, self.std))
        return np.ascontiguousarray((planes - mean) / std)


def preprocessing(
    crop: tuple[int, int],
    channels: int,
    resize: int | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Preprocessing:
    """What ImageNet's networks are given, in the size `crop`, but for what is not None."""
    if channels not in (1, 3):
        raise UsageError(f"images have 1 or 3 channels, and this model's input has {channels}")
    means = mean or (IMAGENET_MEAN if channels == 3 else (0.5,))
    deviations = std or (IMAGENET_STD if channels == 3 else (0.5,))
    if len(means) != channels or len(deviations) != channels:
        raise UsageError(f"--mean and --std need {channels} figures each for this model, separated by commas")
    return Preprocessing(resize or round(min(crop) * _IMAGENET_RESIZE), crop, means, deviations)


def _resized(image: Image, shorter: int) -> Image:
    import PIL.Image

    width, height = image.size
    if min(width, height) == shorter:
        return image
    # The longer side is cut off to whole pixels, as torchvision does.
    longer = int(shorter * max(width, height) / min(width, height))
    size = (shorter, longer) if width <= height else (longer, shorter)
    return image.resize(size, PIL.Image.Resampling.BILINEAR)


def _cropped(image: Image, crop: tuple[int, int]) -> Image:
    from PIL import ImageOps

    height, width = crop
    if image.width < width or image.height < height:
        missing_x, missing_y = max(0, width - image.width), max(0, height - image.height)
        border = (missing_x // 2, missing_y // 2, (missing_x + 1) // 2, (missing_y + 1) // 2)
        image = ImageOps.expand(image, border, fill=0)
        if image.size == (width, height):
            return image
    top, left = round((image.height - height) / 2.0), round((image.width - width) / 2.0)
    return image.crop((left, top, left + width, top + height))
