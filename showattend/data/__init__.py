"""From files on disk to batches: readers, the embedded data, preprocessing, the feature cache, the Lightning data module."""
