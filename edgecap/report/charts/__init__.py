"""Charts as SVG: their scales, and how they are drawn."""
