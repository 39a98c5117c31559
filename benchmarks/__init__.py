"""What README claims, measured. `make bench` runs `python -m benchmarks`.

rows/         what is measured, a family of rows a file
instruments/  servers, clients and counters that measure
table/        rounds, goals, the table and its plot
card/         the same on a CUDA card (`python -m benchmarks.gpu_serving`)
designs/      other ways to build the router in Triton, to compare with
"""
