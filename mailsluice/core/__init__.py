"""What every other part uses: values, errors, text and files."""
