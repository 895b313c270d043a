"""Reports of a run for people and plugins, which do not change its numbers.

A number in the result is an entry in `result.finished_run`, for every file format of bilby (`meta_data`). A
plot is a maker in `plots.run`. A progress display is a subclass of `progress.Progress`.
"""
