"""The report on a race or a whole matrix: one model, written as Markdown and as one HTML file."""
