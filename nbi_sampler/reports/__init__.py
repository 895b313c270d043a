"""Reports of a run for people and plugins, which change none of its numbers.

A figure of the result is an entry in `result.finished_run`, for every file format of bilby (`meta_data`); a
plot is a maker in `plots.run`; what is said while something goes on is a subclass of `progress.Progress`.
"""
