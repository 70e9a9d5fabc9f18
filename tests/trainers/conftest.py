"""The files beside this one are users' files: they train networks, and are no tests."""

collect_ignore_glob = ["*.py"]
