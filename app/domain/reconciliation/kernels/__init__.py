"""The loops over bytes and hashes of the large path, as native code: they hold no GIL, and know no Python objects.

What a kernel says of a cell or a row is what `cells` and `records` say of it; the tests hold them side by side.

A kernel is a plain function, marked by `kernel` as one that Python calls or that other kernels call. `build` compiles
all of them by numba, once for a machine and a version, in a process of its own; `cache` is where the object code lies;
`library` loads it. So who compares imports no compiler.
"""
