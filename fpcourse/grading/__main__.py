"""Grade a folder of submissions: ``python -m fpcourse.grading FOLDER --assignment 2 --out RESULTS``."""

import sys

EXTRA = ("IPython", "nbformat", "otter", "psutil", "pygments", "traitlets")

try:
    from fpcourse.grading.grade import main
except ModuleNotFoundError as error:
    missing = str(error.name).partition(".")[0]
    if missing == "resource":
        sys.exit("The grader runs on Linux and macOS; on Windows use the container that its README.md describes.")
    if missing not in EXTRA:
        raise
    sys.exit(f"The grader needs {missing}, which is not installed: pip install 'fpcourse[grading]'")

if __name__ == "__main__":
    sys.exit(main())
