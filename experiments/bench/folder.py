"""The layout of a benchmark's results folder."""

from pathlib import Path


class Folder:
    """The paths inside a benchmark's results folder."""

    records_name = "records.jsonl"

    def __init__(self, path: Path):
        self.path = path
        self.config = path / "config.toml"
        self.environment = path / "environment.json"
        self.records = path / self.records_name
        self.summary = path / "summary.md"
        self.headline = path / "headline.md"
        self.table = path / "table.md"
        self.plot = path / "plot.png"
        self.page = path / "report.html"

    def clear(self) -> None:
        """Removes the files of an earlier run, and no others."""
        for name, file in vars(self).items():
            if name != "path":
                file.unlink(missing_ok=True)
