"""Fetch a file of a store: python tests/store_reader.py <address> <cache> <file> <bytes>."""

import sys

from avfusion.data import remote
from avfusion.data.store import Store, open_files

if __name__ == "__main__":
    address, cache, name, size = sys.argv[1:]
    remote.CHUNK_BYTES, remote.CHUNKS_AT_ONCE = int(size), 2
    Store(open_files(address, remote.Cache(cache))).file(name)
