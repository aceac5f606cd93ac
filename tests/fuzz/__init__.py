"""Fuzz targets: whatever goes into a decoder, only its own errors come out."""
