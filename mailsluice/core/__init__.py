"""Values, errors, text, files and clocks that every other part uses."""
