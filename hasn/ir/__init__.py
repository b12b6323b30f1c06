"""The NIR graph: read, check, repair, write. NIR is the only representation a user sees."""
