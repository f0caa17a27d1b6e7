"""Fashion-MNIST: 70,000 articles of clothing, 28x28, grey (Xiao, Rasul and Vollgraf, 2017)."""

from pathlib import Path

from experiments import register
from experiments.data import idx
from experiments.data.dataset import Dataset, DatasetInfo, FileDatasetOptions
from experiments.data.sources import RemoteFile, locate

INFO = DatasetInfo(input_shape=(28, 28, 1), classes=10, train_size=60_000, test_size=10_000)

# Debian's copies match these checksums: after restoring the name and date of the gzip header, all
# four files are identical to the published ones.
_BASE = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
FILES = (
    RemoteFile(
        f"{_BASE}/train-images-idx3-ubyte.gz",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    RemoteFile(
        f"{_BASE}/train-labels-idx1-ubyte.gz",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    RemoteFile(
        f"{_BASE}/t10k-images-idx3-ubyte.gz",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    RemoteFile(
        f"{_BASE}/t10k-labels-idx1-ubyte.gz",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


@register.dataset("fashion_mnist")
class FashionMnist(FileDatasetOptions):
    """Fashion-MNIST: 70,000 articles of clothing, 28x28, from four IDX files.

    The files are read from `directory`, from Debian's package dataset-fashion-mnist, or downloaded.
    """

    def describe(self) -> DatasetInfo:
        """Shapes and sizes."""
        return INFO

    def load(self) -> Dataset:
        """The images, standardised."""
        return idx.read_dataset("fashion_mnist", INFO, locate_files(self.directory))


def locate_files(directory: Path | None = None) -> list[Path]:
    """The paths of the four files: training images and labels, test images and labels.

    Raises:
        DataError: A file is missing, or a download failed.
    """
    return locate(
        "fashion_mnist",
        FILES,
        directory,
        system=DEBIAN_FOLDER,
        advice="On Debian and Ubuntu: apt-get install dataset-fashion-mnist.",
    )
