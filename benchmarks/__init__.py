"""How fast it is, side by side with its peers. See README.md."""
