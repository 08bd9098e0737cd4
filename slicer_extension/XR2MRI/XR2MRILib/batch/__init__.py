"""Several radiographs, one after another: where they come from, their forms, and what drives it."""
