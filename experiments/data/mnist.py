"""MNIST: 70,000 handwritten digits, 28x28, grey (LeCun, Cortes and Burges)."""

from experiments import register
from experiments.data import idx
from experiments.data.dataset import Dataset, DatasetInfo, FileDatasetOptions
from experiments.data.sources import RemoteFile, locate

INFO = DatasetInfo(input_shape=(28, 28, 1), classes=10, train_size=60_000, test_size=10_000)

_BASE = "https://ossci-datasets.s3.amazonaws.com/mnist"
FILES = (
    RemoteFile(
        f"{_BASE}/train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    RemoteFile(
        f"{_BASE}/train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    RemoteFile(
        f"{_BASE}/t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    RemoteFile(
        f"{_BASE}/t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)


@register.dataset("mnist")
class Mnist(FileDatasetOptions):
    """MNIST: 70,000 handwritten digits, 28x28, from four IDX files, downloaded if missing."""

    def describe(self) -> DatasetInfo:
        """Shapes and sizes."""
        return INFO

    def load(self) -> Dataset:
        """The images, standardised."""
        return idx.read_dataset("mnist", INFO, locate("mnist", FILES, self.directory))
