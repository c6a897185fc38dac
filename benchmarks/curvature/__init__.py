"""The speed and accuracy of sharpness measurement, against peers on the same weights.

python -m benchmarks.curvature [--cases NAME ...] [--quick] [--out FOLDER]
"""
