import functools
import hashlib
import http.server
import threading

import pytest

from experiments.data import DataError, cifar10, fashion_mnist, mnist
from experiments.data.sources import RemoteFile, locate

CONTENT = b"published bytes"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a folder on this machine alone; yields the folder and its URL."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


def test_a_download_is_checked_and_kept(server, tmp_path):
    folder, url = server
    (folder / "a.gz").write_bytes(CONTENT)
    files = [RemoteFile(f"{url}/a.gz", SHA256)]
    (path,) = locate("thing", files)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "cache")
    (folder / "a.gz").unlink()
    assert locate("thing", files) == [path]


def test_a_download_with_another_checksum_is_refused_and_not_kept(server, tmp_path):
    folder, url = server
    (folder / "a.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"thing: a\.gz could not be downloaded.*hash.*yourself"):
        locate("thing", [RemoteFile(f"{url}/a.gz", SHA256)])
    assert not list((tmp_path / "cache").rglob("a.gz"))


def test_a_failed_download_says_where_and_what_to_do(server):
    _, url = server
    with pytest.raises(DataError, match=r"404.*set dataset\.directory.*published at.*install it"):
        locate("thing", [RemoteFile(f"{url}/a.gz", SHA256)], advice="Or install it.")


def test_a_system_folder_is_used_only_if_complete(server, tmp_path):
    folder, url = server
    system = tmp_path / "system"
    system.mkdir()
    files = [RemoteFile(f"{url}/{name}.gz", SHA256) for name in "ab"]
    for file in files:
        (folder / file.name).write_bytes(CONTENT)
    (system / "a").write_bytes(b"plain")
    assert all(p.is_relative_to(tmp_path / "cache") for p in locate("t", files, system=system))
    (system / "b.gz").write_bytes(b"packed")
    assert locate("t", files, system=system) == [system / "a", system / "b.gz"]


def test_every_published_file_has_a_sha256():
    files = [*mnist.FILES, *fashion_mnist.FILES, cifar10.ARCHIVE]
    sums = [bytes.fromhex(file.sha256) for file in files]
    assert all(len(digest) == 32 for digest in sums)
    assert len(set(sums)) == len(files)
