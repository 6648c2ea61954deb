"""Finding the records nearest to a kernel that has none of its own on this device: where a search may begin.

What is found here is never a claim about this device: it is not shown as its own, not compiled from and not exported.
`kernels` says which kernels are similar, `devices` which devices, and `lookup` asks a store.
"""
