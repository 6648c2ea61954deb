"""How torchvision.npz was made: `python record_torchvision.py`, where torch and torchvision are installed.

Each image is drawn from a seed, so only what torchvision made of it is kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

CASES = {
    # name: (height and width of the image, shorter side, height and width of the crop)
    "landscape": ((61, 97), 40, (32, 32)),
    "portrait": ((143, 90), 37, (32, 32)),
    "enlarged": ((20, 31), 48, (32, 40)),
    "odd": ((77, 77), 33, (28, 31)),
    "too_small": ((50, 30), 24, (32, 28)),
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels(name: str) -> np.ndarray:
    """The image of a case: patches of colour under noise, (height, width, 3) bytes."""
    (height, width), _, _ = CASES[name]
    random = np.random.RandomState(len(name) * 1000 + height)
    coarse = random.randint(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    fine = np.kron(coarse, np.ones((8, 8, 1), dtype=int))[:height, :width]
    return np.clip(fine + random.randint(-20, 21, fine.shape), 0, 255).astype(np.uint8)


def main() -> None:
    import PIL.Image
    import torchvision.transforms as t

    recorded = {}
    for name, (_, resize, crop) in CASES.items():
        steps = t.Compose([t.Resize(resize), t.CenterCrop(crop), t.ToTensor(), t.Normalize(MEAN, STD)])
        recorded[name] = steps(PIL.Image.fromarray(pixels(name))).numpy()
    np.savez_compressed(Path(__file__).with_name("torchvision.npz"), **recorded)


if __name__ == "__main__":
    main()
