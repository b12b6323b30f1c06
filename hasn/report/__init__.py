"""What people look at: one self-contained HTML file, and tables as text."""
