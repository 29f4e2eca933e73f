"""What an evaluation shows and writes: tables, figures, example images and files."""
