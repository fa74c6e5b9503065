"""Does every address of the full data sets bring the published files? ``python tests/tools/mirrors.py``, each week.

Fetches every file from every address, 0.5 GB in all, and ends with status 1 where one does not answer or brings another
file. A reader would not notice: the next address is tried.
"""

from __future__ import annotations

import os
import sys
import tempfile

from fpcourse import data


def main() -> int:
    """Run the command and return its exit status."""
    failures = 0
    for file in data.MD5:
        for url in data.CIFAR10_URLS if file.startswith("cifar") else data.MNIST_URLS:
            with tempfile.TemporaryDirectory() as folder:
                os.environ["FPCOURSE_DATA"] = folder
                try:
                    data._fetch((url,), file)
                    print(f"{url}/{file}: as published")
                except ConnectionError as error:
                    failures += 1
                    print(str(error).splitlines()[-1])
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
