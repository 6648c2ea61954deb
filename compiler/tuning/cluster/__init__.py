"""Building candidates on a dask.distributed cluster, beside this machine's cores.

`builder` is the desk's side, `remote` what runs on the cluster's workers, `lane` a core of the desk. Dask is the
engine: it carries jobs and libraries. Whoever reaches a scheduler runs code on its workers and at its clients, unless
dask's own configuration asks for TLS.
"""
