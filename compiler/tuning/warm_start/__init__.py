"""Beginning a search with what was learned elsewhere: other kernels, other batch sizes, similar devices.

`seeds` tries the tiles that were fast for similar kernels, moved to this one's sizes (`tiling`), and `lessons`
trains the model that ranks candidates; `beginning` is both for a run. They are starting points and no more: what is
kept is measured here.
"""
