"""Output of an evaluation: tables, figures, example images and files."""
