"""`make documents`: updates README.md and docs/ from the records and the code."""

from pathlib import Path

from tools import documents, gallery
from tools.peers import table

ROOT = Path(__file__).parents[1]

table.write(ROOT / "results" / "peers")
for file in [*documents.refresh(ROOT), *gallery.refresh(ROOT)]:
    print(f"updated {file.relative_to(ROOT)}")
