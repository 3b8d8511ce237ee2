"""`bnrepro report`: one HTML file with what a sweep found, which opens without a network. Imports no torch.

The charts are plotly's (MIT): its Python package brings the whole script for the browser (4.8 MB), which has
error bars, logarithmic axes and hovering. Charts are made and checked in Python; the page only draws them.
"""
