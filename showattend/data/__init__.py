"""From files on disk to batches: readers of data sets, photos, preprocessing, boxes, and the embedded data set of shapes."""
