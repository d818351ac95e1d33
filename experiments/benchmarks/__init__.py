"""Speed and memory as ratios against named rivals, measured in one run on one machine: medians of several repeats."""
