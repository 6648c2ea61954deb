"""Tuning a board that no network reaches (docs/offline.md): candidates go there in a file, results come back in one.

`export` and `import_` are what the desk does, `measuring` is what the board does; `batch` and `results` read and write
the two files. What the board uses does not load the compiler part of TVM.
"""
