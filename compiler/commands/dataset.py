"""`--dataset` and the options that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compiler.commands import parse
from compiler.commands.source import must_be_file
from compiler.errors import UsageError

if TYPE_CHECKING:
    from compiler.bench.dataset import ImageOptions


@dataclass(frozen=True)
class DataOptions:
    """`--dataset` and how its images are prepared, as the command line gives them."""

    dataset: str | None = None
    resize: int | None = None
    mean: str | None = None
    std: str | None = None

    @property
    def images(self) -> ImageOptions:
        """Raises UsageError for what are no figures."""
        from compiler.bench.dataset import ImageOptions

        return ImageOptions(self.resize, parse.figures(self.mean, "--mean"), parse.figures(self.std, "--std"))

    def check(self) -> None:
        """Raises UsageError for what cannot be meant, before any work."""
        if self.dataset is not None:
            must_be_file(self.dataset, "--dataset")
            _ = self.images
        elif (self.resize, self.mean, self.std) != (None, None, None):
            raise UsageError("--resize, --mean and --std are for the images of --dataset")
